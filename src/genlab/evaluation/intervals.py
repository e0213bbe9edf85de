"""Estimates of the distance between two distributions from samples, with 95 % intervals that cover.

The interval of an `Estimate` holds the value of the population, that is of infinitely many images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genlab.data.randomness import generator
from genlab.evaluation.root_trace import Float, Sample, root_trace

QUANTILE = 1.959963984540054
"""Of the normal distribution, at 97.5 %."""
MOST_REAL = 10_000
"""Real images that are used, where not more are generated: the cost grows with their square."""
BLOCK = 256
"""Images whose kernel with all others is in memory at once."""
NEGLIGIBLE = 1e-13
"""Smallest eigenvalue, relative to the largest, that is not taken for rounding of 0."""


class IntervalEstimate(NamedTuple):
    """A value, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, half: float) -> IntervalEstimate:
        """The value plus and minus half the width of the interval."""
        return cls(value, value - half, value + half)

    def scaled(self, factor: float) -> IntervalEstimate:
        """The estimate of `factor` > 0 times the quantity."""
        return IntervalEstimate(*(factor * number for number in self))

    def columns(self, name: str) -> dict[str, float | None]:
        """The values of a metric's column `name` and of the ends of its interval."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


@dataclass(frozen=True)
class Estimate:
    """A distance that is measured between N generated and M reference images."""

    value: float
    """Plug-in estimate, as torch-fidelity computes it. It may be biased."""
    unbiased: float
    """Estimate of the population's value without that bias."""
    of_samples: Float
    """Influence of each generated image [N]: the estimates deviate from their expectation by about
    mean(of_samples) + mean(of_reference), both taken with the population's mean of 0."""
    of_reference: Float
    """Influence of each reference image [M]."""

    @property
    def sd_samples(self) -> float:
        """Standard deviation over other samples."""
        return float(self.of_samples.std() / np.sqrt(len(self.of_samples)))

    @property
    def sd_reference(self) -> float:
        """Standard deviation over other reference images."""
        return float(self.of_reference.std() / np.sqrt(len(self.of_reference)))

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return QUANTILE * float(np.hypot(self.sd_samples, self.sd_reference))

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval of the population's value."""
        return self.unbiased - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval of the population's value."""
        return self.unbiased + self.half_width


def frechet_estimate(
    generated: NDArray[np.floating], reference: NDArray[np.floating]
) -> Estimate | None:
    """Frechet distance of features [N, F] and [M, F]; None where N or M is below F + 2.

    d^2 = |m_1 - m_2|^2 + tr(C_1 + C_2) - 2 tr (C_1 C_2)^(1/2). The first two parts are quadratic:
    |m_1 - m_2|^2 of the samples is too large by tr(S_1) / N + tr(S_2) / M. `root_trace` estimates
    the last part.
    """
    if min(len(generated), len(reference)) < generated.shape[1] + 2:
        return None
    m1, x, s1 = _moments(generated)
    m2, y, s2 = _moments(reference)
    n, m, d = len(x), len(y), m1 - m2
    # Coordinates y and z in which S_1 and S_2 are diagonal, with the eigenvalues of S_1 S_2.
    values, vectors = np.linalg.eigh(s2)
    kept = values > NEGLIGIBLE * values.max(initial=0)  # none where all vectors are equal
    left = vectors[:, kept] * np.sqrt(values[kept])  # S_2 = L L^T
    eigenvalues, vectors = np.linalg.eigh(left.T @ s1 @ left)
    kept = eigenvalues > NEGLIGIBLE * eigenvalues.max(initial=0)
    eigenvalues = eigenvalues[kept]
    to_y = left @ vectors[:, kept]
    to_z = s1 @ to_y / np.sqrt(eigenvalues)
    trace = root_trace(eigenvalues, Sample((x @ to_y) ** 2), Sample((y @ to_z) ** 2))
    spread = d @ d + np.trace(s1) + np.trace(s2)
    noise = np.trace(s1) / n + np.trace(s2) / m
    of_samples, of_reference = (
        sign * 2 * (v @ d) + (v**2).sum(axis=1) - 2 * influence
        for sign, v, influence in zip((1, -1), (x, y), trace.influence, strict=True)
    )
    roots = np.sqrt(eigenvalues)
    quadratic = _quadratic_variance(s1 / n + s2 / m, roots, 1 / n + 1 / m)
    return Estimate(
        value=float(spread - 2 * roots.sum()),
        unbiased=float(spread - noise - 2 * trace.value),
        of_samples=_scaled(of_samples, quadratic * m / (n + m)),
        of_reference=_scaled(of_reference, quadratic * n / (n + m)),
    )


def _quadratic_variance(mean: Float, roots: Float, rate: float) -> float:
    """Variance of the terms of second order in d^2, for Gaussian features.

    That of |m_1 - m_2|^2 is 2 |Cov(m_1 - m_2)|^2. In coordinates in which S_1 = S_2 is diagonal
    with elements l_i, the trace has the terms E_ij^2 / (2 r_i r_j (r_i + r_j)), r_i = sqrt(l_i),
    where the elements of the errors E have the variance l_i l_j (1 + [i = j]) / N.

    Args:
        mean: covariance of m_1 - m_2, [F, F].
        roots: r, [p].
        rate: 1 / N + 1 / M.
    """
    weights = np.outer(roots, roots) / (roots[:, None] + roots)
    trace = (weights**2).sum() + (np.diag(weights) ** 2).sum()
    return float(2 * (mean**2).sum() + rate**2 * trace)


def kid_estimate(generated: NDArray[np.floating], reference: NDArray[np.floating]) -> Estimate:
    """Squared maximum mean discrepancy of features [N, F] and [M, F] under (x.y / F + 1)^3.

    A U-statistic (Gretton et al. 2012, equation 3), so that its value is unbiased. Its influences
    are Hoeffding's projections: means of the kernel over the other images.
    """
    n, m, scale = len(generated), len(reference), generated.shape[1] ** -0.5
    x, y = (features.astype(np.float64) * scale for features in (generated, reference))
    xx, yy, xy = _kernel_within(x), _kernel_within(y), _kernel_between(x, y)
    value = float(xx.rows.mean() + yy.rows.mean() - 2 * xy.rows.mean())
    across = 2 * xy.variance / (n * m)
    return Estimate(
        value=value,
        unbiased=value,
        of_samples=_scaled(2 * (xx.rows - xy.rows), 2 * xx.variance / n**2 + across),
        of_reference=_scaled(2 * (yy.rows - xy.columns), 2 * yy.variance / m**2 + across),
    )


@dataclass(frozen=True)
class _KernelMeans:
    """Means of the kernel over pairs of vectors."""

    rows: Float
    """For each vector of the first set, [N]."""
    columns: Float
    """For each vector of the second set, [M]."""
    variance: float
    """Of what the rows' and columns' means leave unexplained."""

    @classmethod
    def of(cls, rows: Float, columns: Float, square: float) -> _KernelMeans:
        """Take the mean `square` of the kernel apart."""
        explained = (rows**2).mean() + (columns**2).mean() - rows.mean() ** 2
        return cls(rows, columns, max(float(square - explained), 0.0))


def _kernel(x: Float, y: Float) -> Float:
    """(x.y + 1)^3 for vectors [N, F] and [M, F], as [N, M]."""
    k = x @ y.T
    k += 1
    k *= k * k
    result: Float = k
    return result


def _kernel_within(x: Float) -> _KernelMeans:
    """Means over pairs of different vectors [N, F]; each pair is computed once."""
    n = len(x)
    sums, square = np.zeros(n), 0.0
    for start in range(0, n, BLOCK):
        end = start + BLOCK
        k = _kernel(x[start:end], x[start:])  # [B, N - start]
        inner, outer = k[:, :BLOCK], k[:, BLOCK:]
        np.fill_diagonal(inner, 0)
        sums[start:end] += k.sum(axis=1)
        sums[end:] += outer.sum(axis=0)
        square += float((inner**2).sum() + 2 * (outer**2).sum())
    means = sums / (n - 1)
    return _KernelMeans.of(means, means, square / (n * (n - 1)))


def _kernel_between(x: Float, y: Float) -> _KernelMeans:
    """Means over pairs of a vector of [N, F] and one of [M, F]."""
    rows, columns, square = np.empty(len(x)), np.zeros(len(y)), 0.0
    for start in range(0, len(x), BLOCK):
        k = _kernel(x[start : start + BLOCK], y)  # [B, M]
        rows[start : start + BLOCK] = k.mean(axis=1)
        columns += k.sum(axis=0)
        square += float((k**2).sum())
    return _KernelMeans.of(rows, columns / len(x), square / (len(x) * len(y)))


def share_interval(share: float, n: int, sd_reference: float = 0.0) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of `n` images.

    Args:
        sd_reference: standard deviation of the share over other sets of reference images, which
            counts as fewer images.
    """
    binomial = share * (1 - share)
    of_reference = sd_reference**2 / binomial if binomial > 0 else 0.0
    z2 = QUANTILE**2 * (1 / n + of_reference)
    centre = (share + z2 / 2) / (1 + z2)
    half = float(np.sqrt(z2 * (binomial + z2 / 4))) / (1 + z2)
    low, high = max(centre - half, 0.0), min(centre + half, 1.0)
    return 0.0 if share == 0 else low, 1.0 if share == 1 else high  # rounding aside


def mean_interval(values: Float) -> tuple[float, float]:
    """Normal 95 % interval of the mean of independent `values` [N]."""
    half = QUANTILE * float(values.std() / np.sqrt(len(values)))
    mean = float(values.mean())
    return mean - half, mean + half


def subset(reference: NDArray[np.floating], most: int, purpose: str) -> NDArray[np.floating]:
    """Reference vectors [M, F], or `most` of them at random, the same ones every time."""
    if len(reference) <= most:
        return reference
    chosen = generator(purpose).choice(len(reference), most, replace=False)
    result: NDArray[np.floating] = reference[np.sort(chosen)]
    return result


def _moments(features: NDArray[np.floating]) -> tuple[Float, Float, Float]:
    """Mean [F], centred features [N, F] and covariance [F, F]."""
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    return mean, x, x.T @ x / (len(x) - 1)


def _scaled(influence: Float, quadratic: float) -> Float:
    """Scale influences [N] to the variance of the estimate.

    The jackknife's variance counts the part of second order, `quadratic`, twice (Efron & Stein
    1981), which matters where the distance is near 0: there the part of first order vanishes.
    """
    return without_excess(influence, quadratic, least=quadratic)


def without_excess(influence: Float, excess: float, least: float = 0.0) -> Float:
    """Centre influences [N] and scale them so that the variance of their mean is less by `excess`.

    Args:
        least: variance that is left at least.
    """
    influence = influence - influence.mean()
    jackknife = float(influence.var()) / len(influence)
    if jackknife == 0:
        return influence
    scaled: Float = influence * np.sqrt(max(jackknife - excess, least) / jackknife)
    return scaled
