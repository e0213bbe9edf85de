"""Estimates of the distance between two distributions from samples, with 95 % intervals that cover.

The interval of an `Estimate` holds the value of the population, that is of infinitely many images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.root_trace import Float, Sample, root_trace

QUANTILE = 1.959963984540054
"""Of the normal distribution, at 97.5 %."""
NEGLIGIBLE = 1e-13
"""Smallest eigenvalue, relative to the largest, that is not taken for rounding of 0."""


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
    """Frechet distance of features [N, F] and [M, F]; None where N or M is below F + 3.

    d^2 = |m_1 - m_2|^2 + tr(C_1 + C_2) - 2 tr (C_1 C_2)^(1/2). The first two parts are quadratic:
    |m_1 - m_2|^2 of the samples is too large by tr(S_1) / N + tr(S_2) / M. `root_trace` estimates
    the last part.
    """
    if min(len(generated), len(reference)) < generated.shape[1] + 3:
        return None
    m1, x, s1 = _moments(generated)
    m2, y, s2 = _moments(reference)
    n, m, d = len(x), len(y), m1 - m2
    # Coordinates in which S_1 and S_2 are the same diagonal matrix; its squares are those of S_1 S_2.
    values, vectors = np.linalg.eigh(s2)
    kept = values > NEGLIGIBLE * values[-1]
    left = vectors[:, kept] * np.sqrt(values[kept])  # S_2 = L L^T
    eigenvalues, vectors = np.linalg.eigh(left.T @ s1 @ left)
    kept = eigenvalues > NEGLIGIBLE * eigenvalues[-1]
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
    harmonic = np.outer(roots, roots) / (roots[:, None] + roots)
    rate = 1 / n + 1 / m
    squared = 2 * np.linalg.norm(s1 / n + s2 / m) ** 2 + rate**2 * (
        (harmonic**2).sum() + (np.diag(harmonic) ** 2).sum()
    )
    return Estimate(
        value=float(spread - 2 * roots.sum()),
        unbiased=float(spread - noise - 2 * trace.value),
        of_samples=_scaled(of_samples, squared / n / rate),
        of_reference=_scaled(of_reference, squared / m / rate),
    )


def _moments(features: NDArray[np.floating]) -> tuple[Float, Float, Float]:
    """Mean [F], centred features [N, F] and covariance [F, F]."""
    x = features.astype(np.float64)
    mean = x.mean(axis=0)
    x -= mean
    return mean, x, x.T @ x / (len(x) - 1)


def _scaled(influence: Float, quadratic: float) -> Float:
    """Centre influences [N] and scale them to the variance of the estimate.

    The jackknife's variance counts the part of second order, `quadratic`, twice (Efron & Stein
    1981), which matters where the distance is near 0: there the part of first order vanishes.
    """
    influence = influence - influence.mean()
    jackknife = influence.var() / len(influence)
    variance = max(jackknife - quadratic, quadratic)
    return influence * np.sqrt(variance / jackknife)
