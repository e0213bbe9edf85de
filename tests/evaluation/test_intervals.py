"""Intervals of quality numbers: brute force without each image, closed forms, and coverage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from genlab.config.study import EvaluationConfig
from genlab.evaluation.intervals import (
    Estimate,
    frechet_estimate,
    kid_estimate,
    mean_interval,
    share_interval,
    without_excess,
)
from genlab.evaluation.metrics import Comparison
from genlab.evaluation.metrics.fid import FID, frechet, gap
from genlab.evaluation.metrics.precision_recall import _coverage, precision_recall
from genlab.evaluation.neighbours import neighbourhoods
from genlab.evaluation.root_trace import Float, _Nodes

F = 16
VARIANCE = 16 / np.arange(1, F + 1)
CHANGE = 0.3 / np.arange(1, F + 1) * (-1) ** np.arange(F)
DISTANCE = float((VARIANCE * CHANGE**2).sum())
"""Of N(0, C) and N(0, (I + D) C (I + D)) with diagonal C and D: tr(D C D)."""


def pair(random: np.random.Generator, n: int, m: int, change: Float = CHANGE) -> tuple[Float, ...]:
    """Samples [n, F] and reference vectors [m, F]."""
    x = random.standard_normal((n, F)) * np.sqrt(VARIANCE)
    y = random.standard_normal((m, F)) * np.sqrt(VARIANCE) * (1 + change)
    return x, y


def estimate_of(x: Float, y: Float) -> Estimate:
    estimate = frechet_estimate(x, y)
    assert estimate is not None
    return estimate


def eigenvalues(x: Float, y: Float) -> Float:
    """Of the product of the two sample covariances."""
    product = np.cov(x, rowvar=False) @ np.cov(y, rowvar=False)
    result: Float = np.sort(np.linalg.eigvals(product).real)
    return result


def root(x: Float, y: Float) -> float:
    """tr (C_1 C_2)^(1/2) before the jackknife."""
    return _Nodes(eigenvalues(x, y)).trace(F / (len(x) - 1), F / (len(y) - 1))


def without(x: Float, k: int) -> Float:
    return np.delete(x, k, axis=0)


def test_the_root_trace_of_infinite_samples_is_the_plug_in() -> None:
    values = np.geomspace(1e-6, 10, 30)
    assert _Nodes(values).trace(0, 0) == pytest.approx(np.sqrt(values).sum(), rel=1e-9)


def test_the_root_trace_is_right_where_the_plug_in_is_far_off() -> None:
    """Identities of 150 dimensions, 300 and 500 samples; the law holds as the dimension grows."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((300, 150)), random.standard_normal((500, 150))
    values = eigenvalues(x, y)
    assert np.sqrt(values).sum() < 0.9 * 150
    # What is left is (1/8) (1/300 + 1/500) tr, and a standard deviation of about 0.1.
    assert _Nodes(values).trace(150 / 299, 150 / 499) == pytest.approx(150, abs=0.6)


def test_the_jackknife_without_eigenvalues_is_that_with_them() -> None:
    """Both centre and influences, from each sample left out in turn."""
    x, y = pair(np.random.default_rng(0), 60, 90)
    n, m = len(x), len(y)
    plain = root(x, y)
    less_x = np.array([root(without(x, k), y) for k in range(n)])
    less_y = np.array([root(x, without(y, k)) for k in range(m)])
    expected = plain + (n - 1) * (plain - less_x.mean()) + (m - 1) * (plain - less_y.mean())
    estimate, difference = estimate_of(x, y), x.mean(axis=0) - y.mean(axis=0)
    s1, s2 = (np.cov(v, rowvar=False) for v in (x, y))
    noise = np.trace(s1) / n + np.trace(s2) / m
    quadratic = difference @ difference + np.trace(s1 + s2) - noise
    # The change of s by one sample is taken to third order.
    assert estimate.unbiased == pytest.approx(quadratic - 2 * expected, abs=1e-3)
    for influence, v, less, sign in (
        (estimate.of_samples, x, less_x, 1),
        (estimate.of_reference, y, less_y, -1),
    ):
        centred = v - v.mean(axis=0)
        brute = sign * 2 * centred @ difference + (centred**2).sum(axis=1)
        brute += 2 * (len(v) - 1) * less
        # They are scaled by a factor.
        assert np.corrcoef(influence, brute)[0, 1] > 1 - 1e-7


def test_the_plug_in_is_torch_fidelity_s() -> None:
    x, y = pair(np.random.default_rng(1), 100, 200)
    assert estimate_of(x, y).value == pytest.approx(frechet(x, y), rel=1e-9)  # type: ignore[arg-type]


def test_the_influence_is_the_derivative_of_the_distance() -> None:
    """Some samples with twice the weight: their influence tells the change."""
    x, y = pair(np.random.default_rng(2), 20_000, 20_000)
    before = estimate_of(x, y)
    heavy = np.argsort(x[:, 0])[:20]
    after = estimate_of(np.concatenate([x, x[heavy]]), y)
    expected = before.of_samples[heavy].sum() / (len(x) + len(heavy))
    # To first order in the weight, 1 %.
    assert after.unbiased - before.unbiased == pytest.approx(expected, rel=0.1)


def test_a_feature_that_never_varies_changes_nothing() -> None:
    """A unit that is dead in both sets or in one, and units that repeat others."""
    x, y = pair(np.random.default_rng(3), 60, 90)
    plain = estimate_of(x, y)
    dead = [np.concatenate([v, np.zeros((len(v), 2))], axis=1) for v in (x, y)]
    for attribute in ("value", "unbiased", "low", "high"):
        expected = getattr(plain, attribute)
        assert getattr(estimate_of(*dead), attribute) == pytest.approx(expected, rel=1e-6)
    repeated = [np.concatenate([v, v[:, :2]], axis=1) for v in (x, y)]
    assert np.isfinite(estimate_of(*repeated).half_width)
    half_dead = estimate_of(dead[0] * ([1] * 5 + [0] + [1] * (F - 4)), dead[1])
    assert half_dead.value > plain.value
    assert np.isfinite(half_dead.half_width)


def test_equal_samples_have_no_root_trace() -> None:
    """d^2 is |m_1 - m_2|^2 + tr S_2 where all samples are one image: the trace of the root is 0."""
    _, y = pair(np.random.default_rng(3), 60, 90)
    x = np.ones((60, y.shape[1]))
    expected = ((1 - y.mean(axis=0)) ** 2).sum() + y.var(axis=0, ddof=1).sum()
    estimate = estimate_of(x, y)
    assert estimate.value == pytest.approx(expected, rel=1e-9)
    assert 0 < estimate.sd_reference < estimate.value
    assert (estimate.of_samples == 0).all()


@pytest.mark.parametrize("constant", [1.0, 0.1])  # 0.1: the mean of equal numbers is rounded
def test_equal_reference_vectors_have_no_root_trace(constant: float) -> None:
    """The same with the roles exchanged, and |m_1 - m_2|^2 where both sets are constant."""
    x, _ = pair(np.random.default_rng(3), 60, 90)
    y = np.full((90, F), constant)
    expected = ((x.mean(axis=0) - constant) ** 2).sum() + x.var(axis=0, ddof=1).sum()
    estimate = estimate_of(x, y)
    assert estimate.value == pytest.approx(expected, rel=1e-9)
    assert 0 < estimate.sd_samples < estimate.value
    assert estimate.sd_reference < 1e-9 * estimate.value  # 0 but for rounding
    both = estimate_of(np.full((60, F), constant + 2), y)
    assert both.value == pytest.approx(4 * F, rel=1e-9)
    assert both.half_width == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("n", "value", "interval"), [(15, False, False), (17, True, False), (18, True, True)]
)
def test_few_samples_have_a_distance_but_no_interval(n: int, value: bool, interval: bool) -> None:
    x, y = (v.astype(np.float32) for v in pair(np.random.default_rng(4), n, 60))
    none = np.zeros((n, 0), np.float32)
    comparison = Comparison(
        {"features": x, "logits": none}, {"features": y}, EvaluationConfig(), {"features": y}
    )
    result = FID().compute(comparison)
    assert (result["fid"] is not None, result["fid_low"] is not None) == (value, interval)
    assert (result["fid_inf"] is not None) == interval


Trial = Callable[[np.random.Generator], tuple[float, float, float]]
"""Centre and ends of an interval."""


def frechet_trial(random: np.random.Generator) -> tuple[float, float, float]:
    estimate = estimate_of(*pair(random, 80, 300))  # 5 samples for each dimension
    return estimate.unbiased, estimate.low, estimate.high


def equal_trial(random: np.random.Generator) -> tuple[float, float, float]:
    estimate = estimate_of(*pair(random, 80, 300, 0 * CHANGE))
    return estimate.unbiased, estimate.low, estimate.high


def kid_trial(random: np.random.Generator) -> tuple[float, float, float]:
    x, y = pair(random, 150, 200)
    estimate = kid_estimate(x / 2, y / 2 + 0.4)
    return estimate.value, estimate.low, estimate.high


def gap_trial(random: np.random.Generator) -> tuple[float, float, float]:
    """To two sets of unequal size from one population."""
    x, training = pair(random, 80, 300)
    held_out = pair(random, 1, 120)[1]
    centre, half = gap(estimate_of(x, training), estimate_of(x, held_out))
    return centre, centre - half, centre + half


def precision_trial(random: np.random.Generator) -> tuple[float, float, float]:
    x, y = pair(random, 100, 150)
    precision, _ = precision_recall(x[:, :4], y[:, :4], 3)  # type: ignore[arg-type]
    return precision.value, *share_interval(precision.value, 100, precision.sd_reference)


@pytest.mark.parametrize(
    ("trial", "truth"),
    [
        (frechet_trial, DISTANCE),
        (equal_trial, 0.0),
        (gap_trial, 0.0),
        (kid_trial, None),
        (precision_trial, None),
    ],
)
def test_intervals_cover_and_are_not_wide(trial: Trial, truth: float | None) -> None:
    """120 trials; where no closed form is at hand, their mean is the truth.

    benchmarks/intervals.py does the same with more trials, dimensions and digits.
    """
    trials = 120
    results = np.array([trial(np.random.default_rng((7, k))) for k in range(trials)])
    centre, low, high = results.T
    error = centre.std() / np.sqrt(trials)
    expected = centre.mean() if truth is None else truth
    # Of the bias at most a quarter of the standard deviation may be left.
    assert abs(centre.mean() - expected) < 0.25 * centre.std() + 3 * error
    covered = ((low <= expected) & (expected <= high)).sum()
    # 92 % coverage, less what chance does once in a thousand.
    assert covered >= stats.binom.ppf(0.001, trials, 0.92)
    assert (high - low).mean() < 1.6 * 2 * 1.96 * centre.std() * 1.2  # 120 trials: 20 %


def test_precision_without_each_training_image_is_counted_right() -> None:
    """Brute force: the share of covered points without each centre in turn."""
    random = np.random.default_rng(5)
    points, centres = random.standard_normal((50, 3)), random.standard_normal((40, 3))
    covered, influence = _coverage(points, neighbourhoods(centres, 2))
    shares = []
    for k in range(len(centres)):
        less = without(centres, k)
        distances = np.linalg.norm(less[:, None] - less, axis=2)
        radius = np.sort(distances, axis=1)[:, 2]
        shares.append((np.linalg.norm(points[:, None] - less, axis=2) <= radius).any(axis=1).mean())
    brute = -(len(centres) - 1) * (np.array(shares) - covered.mean())
    assert brute.std() > 0
    # Scaled by a factor, which takes the excess of the jackknife away.
    assert np.corrcoef(influence, brute)[0, 1] == pytest.approx(1, abs=1e-9)
    assert influence.std() < brute.std()


def test_influences_are_scaled_to_a_variance() -> None:
    influence = np.array([1.0, 3.0, -2.0, 2.0])
    result = without_excess(influence, influence.var() / 8)
    assert result.mean() == pytest.approx(0)
    assert result.var() == pytest.approx(influence.var() / 2)
    assert np.all(without_excess(influence, 100.0) == 0)
    assert without_excess(influence, 100.0, least=0.25).var() == pytest.approx(1)
    assert np.all(without_excess(np.ones(3), 1.0, least=1.0) == 0)


@pytest.mark.parametrize(("k", "n"), [(0, 20), (3, 20), (20, 20), (700, 1000)])
def test_the_interval_of_a_share_is_wilson_s(k: int, n: int) -> None:
    expected = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert share_interval(k / n, n) == pytest.approx((expected.low, expected.high))
    low, high = share_interval(k / n, n, sd_reference=0.05)
    assert low <= expected.low and expected.high <= high


def test_the_interval_of_a_mean_is_normal() -> None:
    values = np.random.default_rng(6).normal(size=50)
    sd = values.std() / np.sqrt(50)
    assert mean_interval(values) == pytest.approx(stats.norm.interval(0.95, values.mean(), sd))
