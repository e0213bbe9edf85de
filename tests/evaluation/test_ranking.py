"""Ranks with intervals: error rates by simulation, closed forms, and another library's Holm."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from genlab.evaluation.ranking import (
    Contender,
    Rank,
    between_trainings,
    holm,
    interval,
    p_values,
    rank,
    spread,
    within_trainings,
)

REFERENCE = 400  # real images


def contenders(
    means: list[float],
    random: np.random.Generator,
    *,
    seeds: int = 3,
    training: float = 0.05,
    sampling: float = 0.02,
    shared: float = 0.2,
    samplers: int = 1,
) -> list[Contender]:
    """Rows with these true log scores, measured against one random set of real images.

    Args:
        training: standard deviation over training seeds; `sampling` over sampling seeds.
        samplers: number of successive rows that share their model, and so their trainings.
        shared: standard deviation of the influence of a real image, the same on all rows.
    """
    influence = shared * random.standard_normal(REFERENCE)
    rows = []
    trained = np.zeros(seeds)
    for i, mean in enumerate(means):
        own = influence + 0.02 * random.standard_normal(REFERENCE)
        if i % samplers == 0:
            trained = training * random.standard_normal(seeds)
        scores = mean + trained + sampling * random.standard_normal(seeds) + own.mean()
        model = f"model {i // samplers}"
        rows.append(Contender(model, scores, np.full(seeds, sampling), own - own.mean()))
    return rows


def test_holm_is_that_of_scipy_s_definition_by_hand() -> None:
    """Sorted p: .01 * 4, .02 * 3, .03 * 2, .5; each at least the one before."""
    p = np.array([0.5, 0.01, 0.03, 0.02])
    assert holm(p) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm(np.array([0.9, 0.8])) == pytest.approx([1, 1])


@pytest.mark.parametrize("seeds", [1, 3])
def test_two_trainings_of_one_model_tie_in_95_of_100_draws(seeds: int) -> None:
    """The level of the test. A single seed has no training noise here: nothing can know it."""
    random = np.random.default_rng(0)
    draws = 400
    training = 0.0 if seeds == 1 else 0.05
    apart = 0
    for _ in range(draws):
        rows = contenders([0.0, 0.0], random, seeds=seeds, training=training)
        apart += rank(rows)[0].tier != rank(rows)[1].tier
    assert apart <= stats.binom.ppf(0.999, draws, 0.05)


def test_rank_intervals_hold_all_true_ranks_in_95_of_100_draws() -> None:
    random = np.random.default_rng(1)
    means, draws, held = [0.0, 0.02, 0.1, 0.1, 0.4], 200, 0
    for _ in range(draws):
        ranks = rank(contenders(means, random))
        true = [(1 + sum(m < own for m in means), sum(m <= own for m in means)) for own in means]
        held += all(
            r.low <= low and high <= r.high for r, (low, high) in zip(ranks, true, strict=True)
        )
    assert held >= stats.binom.ppf(0.001, draws, 0.95)


def test_rows_far_apart_have_ranks_of_their_own_and_close_ones_share_a_tier() -> None:
    random = np.random.default_rng(2)
    ranks = rank(contenders([1.0, 0.0, 0.01, 3.0], random))
    assert ranks == [
        Rank(2, 3, 3, ()), Rank(1, 1, 2, (2,)), Rank(1, 1, 2, (1,)), Rank(3, 4, 4, ())
    ]  # fmt: skip


def test_pairing_removes_what_all_rows_share() -> None:
    """Real images move all scores alike by .01 here; rows that differ by .03 are told apart."""
    random = np.random.default_rng(3)
    rows = contenders([0.0, 0.03], random, seeds=1, training=0, sampling=0.001, shared=2)
    paired = p_values(rows)[0, 1]
    shuffled = replace(rows[1], influence=rows[1].influence[::-1])
    assert paired < 1e-4
    assert p_values([rows[0], shuffled])[0, 1] > 0.5


def test_p_values_of_many_seeds_are_those_of_the_t_test() -> None:
    """Without noise of real images, scipy's test of two samples with equal variances."""
    random = np.random.default_rng(4)
    scores = random.standard_normal((2, 6))
    none: NDArray[np.float64] = np.zeros(REFERENCE)
    rows = [Contender(name, x, np.zeros(6), none) for name, x in zip("ab", scores, strict=True)]
    assert p_values(rows)[0, 1] == pytest.approx(stats.ttest_ind(*scores).pvalue)
    assert between_trainings(rows).freedom == 10


def test_two_rows_of_one_model_are_compared_by_the_t_test_for_pairs() -> None:
    """Without noise of samples and of real images, scipy's test of related samples."""
    random = np.random.default_rng(7)
    scores = random.standard_normal(6) + 0.1 * random.standard_normal((2, 6))
    rows = [Contender("a", x, np.zeros(6), np.zeros(REFERENCE)) for x in scores]
    assert p_values(rows)[0, 1] == pytest.approx(stats.ttest_rel(*scores).pvalue)
    assert between_trainings(rows).freedom == 5  # six trainings, not twelve


def test_with_one_seed_rows_of_one_model_are_compared_like_those_of_two() -> None:
    rows = contenders([0.0, 0.03], np.random.default_rng(12), seeds=1)
    shared = [replace(row, model="a") for row in rows]
    assert 0 < p_values(rows)[0, 1] < 1
    assert p_values(shared)[0, 1] == p_values(rows)[0, 1]


def test_the_variance_within_trainings_is_the_mean_over_all_pairs_of_rows() -> None:
    random = np.random.default_rng(8)
    none = np.zeros(REFERENCE)
    models = {"a": random.standard_normal((3, 4)), "b": random.standard_normal((2, 4))}
    rows = [Contender(name, x, np.zeros(4), none) for name, y in models.items() for x in y]
    pairs = {
        name: np.mean([(x - z).var(ddof=1) for x, z in combinations(y, 2)])
        for name, y in models.items()
    }
    pooled = within_trainings(rows)
    assert pooled.freedom == 2 * 3 + 1 * 3
    assert pooled.variance == pytest.approx((6 * pairs["a"] + 3 * pairs["b"]) / 9)


def test_samplers_of_one_training_are_told_apart_where_trainings_differ_more() -> None:
    """The second sampler of each model is 10 % worse; trainings differ by 30 %, samples by 1 %."""
    random = np.random.default_rng(9)
    draws, apart = 60, 0
    for _ in range(draws):
        rows = contenders([0.0, np.log(1.1)] * 4, random, training=0.3, sampling=0.01, samplers=2)
        apart += [i + 1 in r.ties for i, r in enumerate(rank(rows))][::2].count(False)
    assert apart > 0.95 * 4 * draws


@pytest.mark.parametrize("spread_of_samples", [0.01, 0.3])
def test_samplers_of_equal_models_tie_in_95_of_100_draws(spread_of_samples: float) -> None:
    """All of 12 rows, whether trainings differ much more than samples or not."""
    random = np.random.default_rng(10)
    draws, apart = 200, 0
    for _ in range(draws):
        rows = contenders([0.0] * 12, random, training=0.3, sampling=spread_of_samples, samplers=3)
        apart += any(len(r.ties) < 11 for r in rank(rows))
    assert apart <= stats.binom.ppf(0.999, draws, 0.05)


def test_a_sampler_that_varies_more_than_others_is_not_judged_by_their_variance() -> None:
    """One model of ten has samplers whose scores change with the training by 30 %, others by 1 %.

    The pooled variance is a third of it: two equal samplers would differ in 30 of 100 draws.
    """
    random = np.random.default_rng(11)
    draws, apart = 200, 0
    for _ in range(draws):
        rows = contenders([0.0] * 20, random, training=0.3, sampling=0.01, samplers=2)
        own = [replace(r, log_scores=r.log_scores + 0.3 * random.standard_normal(3)) for r in rows]
        apart += 1 not in rank([*own[:2], *rows[2:]])[0].ties
    assert apart <= stats.binom.ppf(0.999, draws, 0.05)


def test_the_spread_separates_its_three_sources() -> None:
    random = np.random.default_rng(5)
    (row,) = contenders([0.0], random, seeds=4000, training=0.3, sampling=0.1, shared=0.2)
    parts = spread(row)
    assert parts.sampling == pytest.approx(0.1)
    assert parts.training == pytest.approx(0.3, rel=0.05)  # four standard errors, 1 / sqrt(8000)
    assert parts.reference == pytest.approx(0.2 / REFERENCE**0.5, rel=0.2)
    one = replace(row, log_scores=row.log_scores[:1], sampling=row.sampling[:1])
    assert spread(one).training is None


def test_the_interval_of_a_score_covers_it() -> None:
    random = np.random.default_rng(6)
    draws, held = 300, 0
    for _ in range(draws):
        rows = contenders([0.0] * 6, random)
        low, high = interval(rows[0], rows)
        held += low <= 1 <= high  # exp(0)
    expected = stats.binom.ppf([0.001, 0.999], draws, 0.95)
    assert expected[0] <= held <= expected[1] + 5
