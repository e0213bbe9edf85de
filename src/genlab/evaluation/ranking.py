"""Ranks with intervals: which rows of a league can be told apart, and which tie.

A row's score is compared on a logarithmic scale, because its error grows with its size. Three
things make it vary:

- **another training seed**, which only several trainings show;
- **another sampling seed**, by the influence of each sample on the score;
- **another set of real images**, by the influence of each of them. All rows are measured against
  the same real images, so much of this cancels in a difference: the influences are subtracted image
  by image (paired).

Rows of one model, drawn by several samplers, share their trainings. Two of them are compared seed
by seed, so that what a training does to both cancels in their differences. Each training counts
once, however many rows it has.

Two rows differ where a t test of their mean log scores says so, corrected for all pairs by Holm's
method (1979) at a family-wise level of 5 %. A row's rank interval counts the rows that are
significantly better and worse (Mogstad, Romano, Shaikh & Wilhelm 2024, Review of Economic Studies
91, section 3): with 95 % confidence all true ranks lie within their intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEVEL = 0.05
"""Family-wise level of the comparisons of all pairs."""


@dataclass(frozen=True)
class Contender:
    """The scores of one row, one for each training seed; lower is better."""

    model: str
    """Rows of one model have the same trainings, in the same order."""
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


class Pooled(NamedTuple):
    """An estimate of a variance, pooled over models.

    Two or three seeds of one row say little about its variance. With one seed nothing is known of
    it: it is 0 then, with infinite freedom.
    """

    variance: float
    freedom: float


def between_trainings(rows: Sequence[Contender]) -> Pooled:
    """Return the variance of a log score over training and sampling seeds.

    The variances of rows of one model are averaged: they are mostly that of the same trainings.
    """
    return _pooled(
        (float(scores.var(axis=1, ddof=1).mean()), scores.shape[1] - 1)
        for scores in _by_model(rows)
        if scores.shape[1] > 1
    )


def within_trainings(rows: Sequence[Contender]) -> Pooled:
    """Return the variance, over seeds, of the difference of two log scores of one model.

    It is the mean over all pairs of rows of a model. With R rows and K seeds that is twice the mean
    square of what row means and seed means leave over, which has (R - 1) (K - 1) degrees of
    freedom.
    """
    return _pooled(
        (2 * float((_interaction(scores) ** 2).sum()) / freedom, freedom)
        for scores in _by_model(rows)
        if (freedom := (len(scores) - 1) * (scores.shape[1] - 1))
    )


def _interaction(scores: Array) -> Array:
    """Scores [R, K] less the means of their rows and of their columns."""
    centred = scores - scores.mean(axis=1, keepdims=True)
    result: Array = centred - centred.mean(axis=0)
    return result


def _by_model(rows: Sequence[Contender]) -> list[Array]:
    """The log scores of each model, [R, K] for R rows and K seeds."""
    models: dict[str, list[Array]] = {}
    for row in rows:
        models.setdefault(row.model, []).append(row.log_scores)
    return [np.stack(scores) for scores in models.values()]


def _pooled(estimates: Iterable[tuple[float, int]]) -> Pooled:
    """Average variances, weighted by their degrees of freedom."""
    estimates = list(estimates)
    freedom = sum(weight for _, weight in estimates)
    if not freedom:
        return Pooled(0.0, math.inf)
    return Pooled(sum(variance * weight for variance, weight in estimates) / freedom, freedom)


def interval(row: Contender, rows: Sequence[Contender]) -> tuple[float, float]:
    """Return the 95 % interval of a row's score, not of its logarithm.

    With one training seed for all `rows` it covers sampling and real images alone.
    """
    from scipy import stats

    between = between_trainings(rows)
    error = math.sqrt(_over_seeds(row, between.variance) + spread(row).reference ** 2)
    quantile = stats.t.ppf(0.975, between.freedom)
    return math.exp(row.mean - quantile * error), math.exp(row.mean + quantile * error)


def _over_seeds(row: Contender, pooled: float) -> float:
    """The variance of the mean log score over training and sampling seeds."""
    return max(pooled, float(np.mean(row.sampling**2))) / len(row.log_scores)


def _over_shared_seeds(a: Contender, b: Contender, pooled: float) -> float:
    """The variance of the difference of two mean log scores of one model.

    Samplers differ in how much their rows vary, so it is at least that of these two rows. Nor is it
    less than that of their samples, as if they were independent: samplers may start from the same
    noise, which makes it smaller.
    """
    differences = a.log_scores - b.log_scores
    own = float(differences.var(ddof=1)) if len(differences) > 1 else 0.0
    sampling = float(np.mean(a.sampling**2 + b.sampling**2))
    return max(pooled, own, sampling) / len(differences)


def p_values(rows: Sequence[Contender]) -> Array:
    """Return two-sided p values [R, R] of t tests between the mean log scores of all rows.

    All are paired by real image, those of one model by training seed as well. With one seed the
    distribution is normal, and nothing is known of another training.
    """
    from scipy import stats

    between, within = between_trainings(rows), within_trainings(rows)
    p = np.ones((len(rows), len(rows)))
    for i, j in combinations(range(len(rows)), 2):
        a, b = rows[i], rows[j]
        difference = a.influence - b.influence  # paired by real image
        total = float(difference.var()) / len(difference)
        if a.model == b.model:
            total += _over_shared_seeds(a, b, within.variance)
            freedom = within.freedom
        else:
            total += _over_seeds(a, between.variance) + _over_seeds(b, between.variance)
            freedom = between.freedom
        if total == 0:
            p[i, j] = p[j, i] = float(a.mean == b.mean)
            continue
        z = abs(a.mean - b.mean) / math.sqrt(total)
        p[i, j] = p[j, i] = min(1.0, 2 * float(stats.t.sf(z, freedom)))
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
