"""Ranks with intervals: which rows of a league can be told apart, and which tie.

A row's score is compared on a logarithmic scale, because its error grows with its size. Three
things make it vary:

- **another training seed**, which only several trainings show;
- **another sampling seed**, by the influence of each sample on the score;
- **another set of real images**, by the influence of each of them. All rows are measured against
  the same real images, so much of this cancels in a difference: the influences are subtracted image
  by image (paired).

Two rows differ where a t test of their mean log scores says so, corrected for all pairs by Holm's
method (1979) at a family-wise level of 5 %. A row's rank interval counts the rows that are
significantly better and worse (Mogstad, Romano, Shaikh & Wilhelm 2024, Review of Economic Studies
91, section 3): with 95 % confidence all true ranks lie within their intervals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 0.05
"""Family-wise level of the comparisons of all pairs."""


@dataclass(frozen=True)
class Contender:
    """The scores of one row, one for each training seed; lower is better."""

    log_scores: Array
    """[K], natural logarithms."""
    sampling: Array
    """[K], standard deviation of each log score over sampling seeds."""
    influence: Array
    """[M], influence of each real image on the mean log score; their mean is 0."""

    @property
    def mean(self) -> float:
        """The mean log score."""
        return float(self.log_scores.mean())


@dataclass(frozen=True)
class Rank:
    """The place of a row among its rivals."""

    tier: int
    """Rows of one tier are not significantly worse than any row of it; 1 is the best."""
    low: int
    """The best rank that the data allow; 1 is the best of all."""
    high: int
    """The worst one."""
    ties: tuple[int, ...]
    """Indices of the other rows that can't be told apart from it."""


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a row's log score, by what varies."""

    training: float | None
    """Of one training, over training seeds; None with a single seed: nothing is known of it."""
    sampling: float
    """Of one sample set, over sampling seeds."""
    reference: float
    """Of the mean score, over sets of real images."""


def spread(row: Contender) -> Spread:
    """Return what makes the score of a row vary.

    Scores of several trainings vary by their samples as well, which is subtracted.
    """
    sampling = math.sqrt(float(np.mean(row.sampling**2)))
    training = None
    if len(row.log_scores) > 1:
        observed = float(row.log_scores.var(ddof=1))
        training = math.sqrt(max(0.0, observed - sampling**2))
    reference = float(row.influence.std()) / math.sqrt(len(row.influence))
    return Spread(training, sampling, reference)


def between_trainings(rows: Sequence[Contender]) -> tuple[float | None, int]:
    """Return the variance of a log score over training and sampling seeds, pooled over rows.

    Pooled, because two or three seeds of one row say little about its variance.

    Returns:
        The variance, None where no row has several seeds; its degrees of freedom.
    """
    freedom = sum(len(row.log_scores) - 1 for row in rows)
    if freedom == 0:
        return None, 0
    squares = sum(float(((row.log_scores - row.mean) ** 2).sum()) for row in rows)
    return squares / freedom, freedom


def interval(row: Contender, rows: Sequence[Contender]) -> tuple[float, float]:
    """Return the 95 % interval of a row's score, not of its logarithm.

    With one training seed for all `rows` it covers sampling and real images alone.
    """
    from scipy import stats

    variance, freedom = between_trainings(rows)
    error = math.sqrt(_variance_of_mean(row, variance) + spread(row).reference ** 2)
    quantile = stats.t.ppf(0.975, freedom) if variance is not None else stats.norm.ppf(0.975)
    return math.exp(row.mean - quantile * error), math.exp(row.mean + quantile * error)


def _variance_of_mean(row: Contender, pooled: float | None) -> float:
    """The variance of the mean log score over training and sampling seeds."""
    sampling = float(np.mean(row.sampling**2))
    return max(pooled or 0.0, sampling) / len(row.log_scores)


def p_values(rows: Sequence[Contender]) -> Array:
    """Return two-sided p values [R, R] of paired t tests between the mean log scores of all rows.

    The variance over seeds is pooled; without several seeds, the normal distribution is used, and
    nothing is known of the training seed.
    """
    from scipy import stats

    variance, freedom = between_trainings(rows)
    p = np.ones((len(rows), len(rows)))
    for a, b in combinations(range(len(rows)), 2):
        difference = rows[a].influence - rows[b].influence  # paired by real image
        total = float(difference.var()) / len(difference)
        total += _variance_of_mean(rows[a], variance) + _variance_of_mean(rows[b], variance)
        if total == 0:
            p[a, b] = p[b, a] = float(rows[a].mean == rows[b].mean)
            continue
        z = abs(rows[a].mean - rows[b].mean) / math.sqrt(total)
        tail = stats.norm.sf(z) if variance is None else stats.t.sf(z, freedom)
        p[a, b] = p[b, a] = min(1.0, 2 * float(tail))
    return p


def holm(p: Array) -> Array:
    """Return p values [T] of T tests adjusted by Holm's step-down method (1979).

    The k-th smallest is multiplied by T - k + 1, and no adjusted value is below a smaller one's.
    """
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return adjusted


def rank(rows: Sequence[Contender], level: float = LEVEL) -> list[Rank]:
    """Rank rows by their mean log score, the lowest first.

    Args:
        level: family-wise; the chance that any two equal rows are told apart.

    Returns:
        Tier, rank interval and ties of each row, in the order of `rows`.
    """
    count = len(rows)
    pairs = np.triu_indices(count, 1)
    adjusted = np.ones((count, count))
    adjusted[pairs] = adjusted.T[pairs] = holm(p_values(rows)[pairs])
    means = np.array([row.mean for row in rows])
    better = (adjusted < level) & (means[:, None] < means[None, :])  # [R, R]: row a beats row b
    tiers = _tiers(better)
    return [
        Rank(
            tiers[i],
            1 + int(better[:, i].sum()),
            count - int(better[i].sum()),
            tuple(j for j in range(count) if j != i and not (better[i, j] or better[j, i])),
        )
        for i in range(count)
    ]


def _tiers(better: NDArray[np.bool_]) -> list[int]:
    """The tier of each row: the first holds the rows that none beats, and so on without them."""
    tiers = [0] * len(better)
    remaining = set(range(len(better)))
    tier = 0
    while remaining:
        tier += 1
        best = {i for i in remaining if not any(better[j, i] for j in remaining)}
        for i in best:
            tiers[i] = tier
        remaining -= best
    return tiers
