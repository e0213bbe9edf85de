"""Ranks with intervals: error rates by simulation, closed forms, and another library's Holm."""

from __future__ import annotations

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
) -> list[Contender]:
    """Rows with these true log scores, measured against one random set of real images.

    Args:
        training: standard deviation over training seeds; `sampling` over sampling seeds.
        shared: standard deviation of the influence of a real image, the same on all rows.
    """
    influence = shared * random.standard_normal(REFERENCE)
    rows = []
    for mean in means:
        own = influence + 0.02 * random.standard_normal(REFERENCE)
        noise = training * random.standard_normal(seeds) + sampling * random.standard_normal(seeds)
        scores = mean + noise + own.mean()
        rows.append(Contender(scores, np.full(seeds, sampling), own - own.mean()))
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
    shuffled = Contender(rows[1].log_scores, rows[1].sampling, rows[1].influence[::-1])
    assert paired < 1e-4
    assert p_values([rows[0], shuffled])[0, 1] > 0.5


def test_p_values_of_many_seeds_are_those_of_the_t_test() -> None:
    """Without noise of real images, scipy's test of two samples with equal variances."""
    random = np.random.default_rng(4)
    scores = random.standard_normal((2, 6))
    none: NDArray[np.float64] = np.zeros(REFERENCE)
    rows = [Contender(x, np.zeros(6), none) for x in scores]
    assert p_values(rows)[0, 1] == pytest.approx(stats.ttest_ind(*scores).pvalue)
    assert between_trainings(rows)[1] == 10


def test_the_spread_separates_its_three_sources() -> None:
    random = np.random.default_rng(5)
    (row,) = contenders([0.0], random, seeds=4000, training=0.3, sampling=0.1, shared=0.2)
    parts = spread(row)
    assert parts.sampling == pytest.approx(0.1)
    assert parts.training == pytest.approx(0.3, rel=0.05)  # four standard errors, 1 / sqrt(8000)
    assert parts.reference == pytest.approx(0.2 / REFERENCE**0.5, rel=0.2)
    assert spread(Contender(row.log_scores[:1], row.sampling[:1], row.influence)).training is None


def test_the_interval_of_a_score_covers_it() -> None:
    random = np.random.default_rng(6)
    draws, held = 300, 0
    for _ in range(draws):
        rows = contenders([0.0] * 6, random)
        low, high = interval(rows[0], rows)
        held += low <= 1 <= high  # exp(0)
    expected = stats.binom.ppf([0.001, 0.999], draws, 0.95)
    assert expected[0] <= held <= expected[1] + 5
