"""Maximum mean discrepancy of two sets of vectors under a Gaussian kernel.

    MMD^2(P, Q) = E k(x, x') + E k(y, y') - 2 E k(x, y),   k(x, y) = exp(-|x - y|^2 / 2 sigma^2)

with x, x' from P and y, y' from Q (Gretton et al. 2012, "A kernel two-sample test", lemma 6). The
estimate here averages over all pairs of different vectors: it is unbiased, so it may fall below 0
where P = Q.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.array_cache import cached_per_array
from genlab.evaluation.intervals import MOST_REAL, IntervalEstimate, subset
from genlab.evaluation.jackknife import normal_estimate
from genlab.evaluation.neighbours import Floats, blocks, squared_distances

PURPOSE = "maximum mean discrepancy"  # of random numbers
FOR_MEDIAN = 1000  # vectors whose distances the median distance is taken from


class KernelSums(NamedTuple):
    """Sums of the kernel between two sets of N and M vectors."""

    rows: Floats
    """Of each vector of the first set with the second set, [N]."""
    columns: Floats
    """Of each vector of the second set with the first set, [M]."""


def kernel_sums(x: Floats, y: Floats, sigma: float) -> KernelSums:
    """Sum exp(-|x_i - y_j|^2 / 2 sigma^2) over j and over i, of vectors [N, F] and [M, F]."""
    rows, columns = np.empty(len(x)), np.zeros(len(y))
    for block in blocks(len(x)):
        k = np.exp(squared_distances(x[block], y) / (-2 * sigma**2))  # [B, M]
        rows[block] = k.sum(axis=1)
        columns += k.sum(axis=0)
    return KernelSums(rows, columns)


def sums_with_others(x: Floats, sigma: float) -> Floats:
    """Sum the kernel of each vector with all others of its set, [N]; k(x, x) = 1."""
    return kernel_sums(x, x, sigma).rows - 1


class RealVectors(NamedTuple):
    """Vectors of real images, and sums of the kernel among each other."""

    vectors: Floats
    """[M, F]."""
    sums: Floats
    """With all others, [M]."""


@cached_per_array
def median_distance(features: NDArray[np.floating]) -> float:
    """The median distance between two vectors [M, F], over those of at most FOR_MEDIAN."""
    x = some(features, FOR_MEDIAN)
    squared = squared_distances(x, x)[np.triu_indices(len(x), k=1)]
    return float(np.sqrt(np.median(squared).clip(min=0)))


def some(features: NDArray[np.floating], most: int) -> Floats:
    """At most this number of vectors."""
    return subset(features, most, PURPOSE).astype(np.float64)


@cached_per_array
def real_vectors(features: NDArray[np.floating], sigma: float, most: int) -> RealVectors:
    """At most `most` of the vectors [M, F], and their sums."""
    vectors = some(features, most)
    return RealVectors(vectors, sums_with_others(vectors, sigma))


def squared_mmd(
    generated: NDArray[np.floating], real: NDArray[np.floating], sigma: float
) -> IntervalEstimate:
    """MMD^2 of vectors [N, F] and those of real images [M, F], with the jackknife's interval.

    Larger sets of real images are represented by MOST_REAL random ones, or by N if that is more.
    """
    x = generated.astype(np.float64)
    y, of_real = real_vectors(real, sigma, max(MOST_REAL, len(x)))
    n, m = len(x), len(y)
    of_generated, between = sums_with_others(x, sigma), kernel_sums(x, y, sigma)

    def mmd(xx: Floats, yy: Floats, xy: Floats, n: int, m: int) -> Floats:
        """MMD^2 from sums over ordered pairs, of n and m vectors."""
        return np.asarray(xx / (n * (n - 1)) + yy / (m * (m - 1)) - 2 * xy / (n * m))

    xx, yy, xy = of_generated.sum(), of_real.sum(), between.rows.sum()
    value = float(mmd(xx, yy, xy, n, m))
    without_x = mmd(xx - 2 * of_generated, yy, xy - between.rows, n - 1, m)
    without_y = mmd(xx, yy - 2 * of_real, xy - between.columns, n, m - 1)
    return normal_estimate(value, without_x, without_y)
