"""Density and coverage, plain and clipped, against their definitions; and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genlab.evaluation import neighbours
from genlab.evaluation.intervals import QUANTILE, IntervalEstimate
from genlab.evaluation.neighbours import (
    clipped_coverage,
    clipped_density,
    density_coverage,
    expected_coverage,
    nearest_others,
)

Floats = NDArray[np.float64]
K = 5


def normal(seed: int, n: int, dimensions: int = 3) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, dimensions))


def distances(a: Floats, b: Floats) -> Floats:
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))


def radii(real: Floats) -> Floats:
    """Distances to the K-th nearest other; column 0 is the distance to oneself."""
    return np.sort(distances(real, real), axis=1)[:, K]


@pytest.mark.parametrize("block", [1000, 70])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_all_four_follow_their_definitions(
    block: int, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brute force over all pairs, whatever the block."""
    monkeypatch.setattr(neighbours, "BLOCK", block)
    real, generated = normal(0, 200), scale * normal(1, 150)
    inside = distances(real, generated) < radii(real)[:, None]  # [N, M]
    density, coverage = density_coverage(generated, real, K)
    assert density.value == pytest.approx(inside.sum(axis=0).mean() / K, rel=1e-12)
    assert coverage.value == pytest.approx(inside.any(axis=1).mean(), rel=1e-12)

    clipped = np.minimum(radii(real), np.median(radii(real)))
    inside = distances(real, generated) <= clipped[:, None]
    of_real = distances(real, real) <= clipped[:, None]
    np.fill_diagonal(of_real, False)
    ratio = (
        np.minimum(inside.sum(axis=0) / K, 1).mean() / np.minimum(of_real.sum(axis=0) / K, 1).mean()
    )
    assert clipped_density(generated, real, K).value == pytest.approx(min(ratio, 1), rel=1e-12)

    inside = distances(real, generated) < radii(real)[:, None]
    filled = np.minimum(inside.sum(axis=1) / K, 1).mean()
    f = expected_coverage(200, 150, K)
    share = clipped_coverage(generated, real, K).value
    if filled < f[-1]:
        assert np.interp(share * 150, np.arange(151), f) == pytest.approx(filled, rel=1e-9)
    else:
        assert share == 1


def test_the_expected_coverage_is_that_of_the_beta_binomial_distribution() -> None:
    """In closed form for k = 1, m / (N - 1 + m), and by scipy's distribution for k = 3."""
    from scipy.stats import betabinom

    m = np.arange(41)
    assert np.allclose(expected_coverage(30, 40, 1), m / (29 + m), rtol=1e-12)
    j = np.arange(41)
    expected = [(np.minimum(j, 3) * betabinom.pmf(j, i, 3, 27)).sum() / 3 for i in m]
    assert np.allclose(expected_coverage(30, 40, 3), expected, rtol=1e-9)


@pytest.mark.parametrize("good", [0.2, 0.5, 0.8])
def test_clipped_values_are_the_share_of_good_samples(good: float) -> None:
    """Real samples replaced by ones that lie nowhere near; density and coverage read otherwise."""
    densities, coverages = [], []
    for seed in range(20):
        generated = normal(2 * seed, 400)
        generated[int(good * 400) :] += 100
        real = normal(2 * seed + 1, 500)
        densities.append(clipped_density(generated, real, K).value)
        coverages.append(clipped_coverage(generated, real, K).value)
    # Means of 20 values whose standard deviations are about 0.02 and 0.03.
    assert np.mean(densities) == pytest.approx(good, abs=0.02)
    assert np.mean(coverages) == pytest.approx(good, abs=0.03)


def test_copies_of_real_images_count_whatever_the_rounding() -> None:
    """They lie on the surface of the balls that define the radii: outside of an open ball."""
    real = 1e3 + normal(0, 300, 16)
    density, coverage = density_coverage(real.copy(), real, K)
    # Each ball holds its own centre and K - 1 neighbours; the K-th lies on its surface.
    assert density.value == pytest.approx(1, rel=1e-12)
    assert coverage.value == 1


def test_large_sets_of_real_images_are_represented_by_a_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "MOST_REAL", 100)
    real, generated = normal(0, 300), normal(1, 50)
    value = density_coverage(generated, real, K)[1].value
    assert value * 100 == pytest.approx(round(value * 100), abs=1e-9)
    assert density_coverage(generated, real, K)[1].value == value


def share_covered(estimates: list[IntervalEstimate]) -> float:
    """The share of intervals that hold the mean of the values."""
    truth = np.mean([estimate.value for estimate in estimates])
    return float(np.mean([estimate.low <= truth <= estimate.high for estimate in estimates]))


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_intervals_cover_the_expectation(shift: float) -> None:
    """Over 200 pairs of new sets; 90 % is three standard errors below 95 %."""
    pairs = [(normal(2 * i, 80) + shift, normal(2 * i + 1, 120)) for i in range(200)]
    for kind in zip(*(density_coverage(*pair, K) for pair in pairs), strict=True):
        assert share_covered(list(kind)) > 0.90
    pairs = [(generated[: int(0.6 * 80)], real) for generated, real in pairs]
    assert share_covered([clipped_coverage(*pair, K) for pair in pairs]) > 0.90


@pytest.mark.parametrize("shift", [0.7, 1.5])
def test_the_interval_of_clipped_density_covers_its_expectation_for_one_real_set(
    shift: float,
) -> None:
    real = normal(0, 120)
    estimates = [clipped_density(normal(i, 80) + shift, real, K) for i in range(1, 201)]
    assert share_covered(estimates) > 0.90


def test_the_jackknife_leaves_out_one_image_at_a_time() -> None:
    """The intervals are those of estimates that are computed anew without each image."""
    real, generated = normal(0, 40), 1.2 * normal(1, 30)

    def half_width(of_generated: list[float], of_real: list[float]) -> float:
        variances = [np.var(values) * (len(values) - 1) for values in (of_generated, of_real)]
        return float(QUANTILE * sum(variances) ** 0.5)

    for kind in (0, 1):
        estimate = density_coverage(generated, real, K)[kind]
        without_generated = [
            density_coverage(np.delete(generated, j, axis=0), real, K)[kind].value
            for j in range(30)
        ]
        without_real = [
            density_coverage(generated, np.delete(real, i, axis=0), K)[kind].value
            for i in range(40)
        ]
        if kind == 0:  # the density is a mean over balls whose number counts as fixed
            without_real = [value * 40 / 39 for value in without_real]
        expected = half_width(without_generated, without_real)
        assert estimate.high - estimate.value == pytest.approx(expected, rel=1e-9)


def test_the_nearest_others_of_few_points_and_of_equal_ones() -> None:
    """A point is no neighbour of itself, but an equal one is; what is missing is infinitely far."""
    points = np.array([[0.0], [0.0], [3.0]])
    squared, neighbours = nearest_others(points, 2)
    np.testing.assert_array_equal(squared, [[0, 9], [0, 9], [9, 9]])
    np.testing.assert_array_equal(neighbours[:2], [[1, 2], [0, 2]])
    assert set(neighbours[2]) == {0, 1}
    squared, neighbours = nearest_others(points[1:], 3)
    np.testing.assert_array_equal(squared, [[9, np.inf, np.inf]] * 2)
    assert neighbours[:, 0].tolist() == [1, 0]
    squared, _ = nearest_others(points[:1], 2)
    np.testing.assert_array_equal(squared, [[np.inf, np.inf]])
