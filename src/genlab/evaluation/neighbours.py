"""Density and coverage, plain and clipped: generated images in balls around real ones.

The ball of a real image i reaches to its k-th nearest other real image, at distance r_i. With n_i
generated images in ball i, m_j balls around generated image j, and N real, M generated images:

    density   1/M sum_j m_j / k                     (Naeem et al. 2020, arXiv:2002.09797, section 3)
    coverage  1/N sum_i [n_i > 0]                                                        (section 3)

Salvy et al. (2025, arXiv:2507.01761) clip both, so that no image counts for more than one:

    clipped density   1/M sum_j min(m_j / k, 1), in balls whose radius is at most the median radius,
                      divided by the same mean over the real images, which do not count as lying in
                      their own ball; at most 1                                       (equation 7)
    clipped coverage  g(1/N sum_i min(n_i / k, 1))

f(m) is the expectation of that last mean for m images from the distribution of the real ones; n_i
is then beta-binomial, since the probability of ball i is Beta(k, N - k) (lemma 1). g(y) is the
share m / M with f(m) = y. So a set of M images of which a share s is real and the rest lies nowhere
near has clipped density and clipped coverage s on average.

Intervals are those of the jackknife of both sets: without real image i, its ball is missing, and
balls of which it was one of the k neighbours reach to the next neighbour. The interval of clipped
density is that of the jackknife of the generated images alone: it holds for these real images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.array_cache import cached_per_array
from genlab.evaluation.intervals import MOST_REAL, IntervalEstimate, subset
from genlab.evaluation.jackknife import means_without_one, normal_estimate

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
BLOCK = 1000  # images whose distances to all others are in memory at once
TIE = 1e-9  # squared distances that differ by this factor are equal up to rounding


class Neighbourhoods(NamedTuple):
    """Images in a feature space, and their nearest neighbours among each other."""

    features: Floats
    """[N, F]."""
    squared: Floats
    """Squared distances to the k + 1 nearest others in ascending order, [N, k + 1]."""
    neighbours: Counts
    """The numbers of these, [N, k + 1]."""


class Inside(NamedTuple):
    """Generated images in the balls of real ones."""

    per_real: Counts
    """Number of generated images in each ball, [N]."""
    per_generated: Counts
    """Number of balls around each generated image, [M]."""
    needed: Counts
    """Number of those that would hold less than `limit` images without it, [M]."""


def squared_distances(a: NDArray[np.floating], b: NDArray[np.floating]) -> Floats:
    """|a_i - b_j|^2 of points [N, F] and [M, F], [N, M] in float64; rounding may yield some < 0."""
    a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
    squares: Floats = a @ b.T
    squares *= -2
    squares += np.square(a).sum(axis=1)[:, None]
    squares += np.square(b).sum(axis=1)
    return squares


def blocks(n: int, size: int | None = None) -> list[slice]:
    """Slices of `size`, by default BLOCK, that cover n images."""
    size = size or BLOCK
    return [slice(start, start + size) for start in range(0, n, size)]


def nearest_others(points: NDArray[np.floating], count: int) -> tuple[Floats, Counts]:
    """The `count` nearest other points of each of N points [N, F], in ascending order.

    Returns:
        Squared distances and numbers, [N, count] each; the distances beyond N - 1 are infinite.
    """
    n, available = len(points), min(count, len(points) - 1)
    squared, neighbours = np.full((n, count), np.inf), np.zeros((n, count), np.int64)
    for block in blocks(n):
        distances = squared_distances(points[block], points)
        rows = np.arange(len(distances))
        distances[rows, rows + block.start] = np.inf  # no point is a neighbour of itself
        nearest = np.argpartition(distances, available - 1, axis=1)[:, :available]
        order = np.take_along_axis(distances, nearest, axis=1).argsort(axis=1)
        neighbours[block, :available] = np.take_along_axis(nearest, order, axis=1)
        nearest = neighbours[block, :available]
        squared[block, :available] = np.take_along_axis(distances, nearest, axis=1)
    return squared, neighbours


def neighbourhoods(features: NDArray[np.floating], k: int) -> Neighbourhoods:
    """Find the k + 1 nearest neighbours of each image among the others, by features [N, F]."""
    points = features.astype(np.float64)
    return Neighbourhoods(points, *nearest_others(points, k + 1))


@cached_per_array
def real_neighbourhoods(features: NDArray[np.floating], k: int, generated: int) -> Neighbourhoods:
    """Those of real images [N, F], which all rows of so many `generated` images are compared with.

    Where N exceeds both MOST_REAL and `generated`, the larger of these many are chosen at random,
    the same ones every time.
    """
    return neighbourhoods(subset(features, max(MOST_REAL, generated), "neighbours"), k)


def count_inside(
    centres: Floats, radii: Sequence[Floats], generated: Floats, limit: int
) -> list[Inside]:
    """Count generated images [M, F] in open balls around `centres` [N, F], for each of the `radii`.

    Args:
        radii: squared, [N] each.
        limit: as in `Inside.needed`.
    """
    n, m = len(centres), len(generated)
    counts = [Inside(*(np.zeros(size, np.int64) for size in (n, m, m))) for _ in radii]
    for block in blocks(n):
        squared = squared_distances(centres[block], generated)  # [B, M]
        for count, radius in zip(counts, radii, strict=True):
            inside = squared < radius[block, None]
            count.per_real[block] = inside.sum(axis=1)
            count.per_generated[:] += inside.sum(axis=0)
            count.needed[:] += inside[count.per_real[block] <= limit].sum(axis=0)
    return counts


class Balls(NamedTuple):
    """Balls around real images, and what the jackknife needs to know of them."""

    real: Neighbourhoods
    inside: Inside
    larger: Inside
    """In balls that reach to neighbour k + 1."""

    @classmethod
    def around(
        cls, real: NDArray[np.floating], generated: NDArray[np.floating], k: int, limit: int
    ) -> Balls:
        """Balls around real images [N, F] that hold some of the generated ones [M, F].

        Args:
            limit: as in `Inside.needed`.
        """
        images = real_neighbourhoods(real, k, len(generated))
        radii = images.squared[:, -2:].T * (1 - TIE)
        inside, larger = count_inside(
            images.features, list(radii), generated.astype(np.float64), limit
        )
        return cls(images, inside, larger)

    def estimate(
        self, share: Callable[[Counts], Floats], without_generated: Floats
    ) -> IntervalEstimate:
        """The mean over real images of `share(n_i)`.

        Args:
            share: of counts n_i of generated images, [N] -> [N].
            without_generated: the mean without one generated image, [M].
        """
        shares, larger = share(self.inside.per_real), share(self.larger.per_real)
        neighbours = self.real.neighbours[:, :-1]  # [N, k]
        gains = np.repeat(larger - shares, neighbours.shape[1])
        gain = np.bincount(neighbours.ravel(), weights=gains, minlength=len(shares))
        without_real = (shares.sum() - shares + gain) / (len(shares) - 1)
        return normal_estimate(float(shares.mean()), without_generated, without_real)


def density_coverage(
    generated: NDArray[np.floating], real: NDArray[np.floating], k: int
) -> tuple[IntervalEstimate, IntervalEstimate]:
    """Density and coverage of features [M, F] by those of real images [N, F]."""
    balls = Balls.around(real, generated, k, limit=1)
    n, m = len(balls.inside.per_real), len(generated)

    def covered(counts: Counts) -> Floats:
        return (counts > 0).astype(np.float64)

    without_generated = means_without_one(balls.inside.per_generated / k)
    # The sum of n_i is that of m_j, so the mean of N n_i / kM is the density.
    density = balls.estimate(lambda counts: counts * n / (k * m), without_generated)
    without_generated = (covered(balls.inside.per_real).sum() - balls.inside.needed) / n
    return density, balls.estimate(covered, without_generated)


def clipped_coverage(
    generated: NDArray[np.floating], real: NDArray[np.floating], k: int
) -> IntervalEstimate:
    """Clipped coverage of features [M, F] by those of real images [N, F]."""
    balls = Balls.around(real, generated, k, limit=k)
    n, m = len(balls.inside.per_real), len(generated)

    def filled(counts: Counts) -> Floats:
        return np.minimum(counts / k, 1)

    without_generated = (filled(balls.inside.per_real).sum() - balls.inside.needed / k) / n
    estimate = balls.estimate(filled, without_generated)
    expected, shares = expected_coverage(n, m, k), np.arange(m + 1) / m
    return IntervalEstimate(*(float(np.interp(value, expected, shares)) for value in estimate))


def clipped_density(
    generated: NDArray[np.floating], real: NDArray[np.floating], k: int
) -> IntervalEstimate:
    """Clipped density of features [M, F] by those of real images [N, F]."""
    images = real_neighbourhoods(real, k, len(generated))
    squared, neighbours = images.squared[:, :k], images.neighbours[:, :k]
    radii = np.minimum(squared[:, -1], np.median(squared[:, -1])) * (1 + TIE)
    [inside] = count_inside(images.features, [radii], generated.astype(np.float64), limit=k)
    balls = np.bincount(neighbours[squared <= radii[:, None]], minlength=len(radii))
    of_real = float(np.minimum(balls / k, 1).mean())
    values = np.minimum(inside.per_generated / k, 1) / of_real
    estimate = normal_estimate(float(values.mean()), means_without_one(values))
    return IntervalEstimate(*(min(max(value, 0.0), 1.0) for value in estimate))


def expected_coverage(n: int, m: int, k: int) -> Floats:
    """f(0) ... f(m): E min(J, k) / k, J of Binomial(i, p), p of Beta(k, n - k) (lemma 1): [m + 1].

    E min(J, k) = k - sum_{j < k} (k - j) P(J = j).
    """
    from scipy.special import betaln

    i, j = np.arange(m + 1)[:, None], np.arange(k)
    rest = np.maximum(i - j, 0)  # [m + 1, k]
    log_binomial = -np.log(i + 1) - betaln(rest + 1, j + 1)
    logs = log_binomial + betaln(k + j, n - k + rest) - betaln(k, n - k)
    probabilities = np.where(j <= i, np.exp(logs), 0)
    return np.asarray(1 - ((k - j) * probabilities).sum(axis=1) / k)
