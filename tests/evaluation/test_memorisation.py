"""The audit for memorisation against brute force, other libraries and planted copies."""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

import genlab
from genlab.api import ImageData
from genlab.config.study import EvaluationConfig
from genlab.evaluation.memorisation import copying, likelihood, parts
from genlab.evaluation.memorisation.neighbours import (
    FeatureSpace,
    PixelSpace,
    coarse,
    feature_space,
    shifts,
)
from genlab.evaluation.metrics import Comparison, RowComparison, measure_row
from genlab.evaluation.metrics.memorisation import Memorisation

ROOT = Path(__file__).parents[2]
CONFIG = EvaluationConfig()
Float = NDArray[np.float32]


def normal(seed: int, n: int, dimensions: int = 6) -> Float:
    return np.random.default_rng(seed).standard_normal((n, dimensions)).astype(np.float32)


def noise(seed: int, n: int, side: int = 8) -> NDArray[np.uint8]:
    """Images uint8 [n, 1, side, side] of uniform noise."""
    return np.random.default_rng(seed).integers(0, 256, (n, 1, side, side), dtype=np.uint8)


# Neighbours


def test_the_two_nearest_training_images_in_features_are_those_of_brute_force() -> None:
    training, images = normal(0, 300) + 50, normal(1, 700) + 50  # more than one block
    result = FeatureSpace(training, images).search(images)
    distances = cdist(images, training)
    order = distances.argsort(axis=1)[:, :2]
    np.testing.assert_array_equal(result.indices, order)
    np.testing.assert_allclose(result.distances, np.take_along_axis(distances, order, 1), rtol=1e-6)
    np.testing.assert_allclose(result.ratios, result.distances[:, 0] / result.distances[:, 1])


def test_the_two_nearest_training_images_in_pixels_are_the_smallest_over_nine_shifts() -> None:
    training, images = noise(0, 12), noise(1, 30)
    result = PixelSpace(training, images).search(images)
    shifted = shifts(images)  # [N, P, 9]
    flat = training.reshape(12, -1) / 255
    distances = np.min([cdist(shifted[:, :, k], flat) for k in range(9)], axis=0)
    order = distances.argsort(axis=1)[:, :2]
    np.testing.assert_array_equal(result.indices, order)
    np.testing.assert_allclose(result.distances, np.take_along_axis(distances, order, 1), rtol=1e-6)


def test_a_shift_by_a_pixel_repeats_the_edge() -> None:
    image = noise(0, 1, side=3)
    shifted = shifts(image)[0].T.reshape(9, 3, 3)
    padded = np.pad(image[0, 0], 1, mode="edge") / 255
    for k, (a, b) in enumerate(np.ndindex(3, 3)):
        np.testing.assert_allclose(shifted[k], padded[a : a + 3, b : b + 3], rtol=1e-6)


def test_coarse_pixels_are_the_means_of_blocks() -> None:
    images = noise(0, 2, side=40)  # blocks of 3, the last of which is padded
    means = coarse(images, side=16)
    assert means.shape == (2, 1, 14, 14)
    assert means[1, 0, 2, 4] == pytest.approx(images[1, 0, 6:9, 12:15].mean() / 255)
    assert means[1, 0, 13, 0] == pytest.approx(images[1, 0, 39, 0:3].mean() / 255)
    assert coarse(noise(0, 2)).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("kind", [FeatureSpace, PixelSpace])
def test_a_copy_has_the_ratio_0_even_of_a_repeated_training_image(
    kind: type[FeatureSpace] | type[PixelSpace],
) -> None:
    training: NDArray[Any] = normal(0, 50) if kind is FeatureSpace else noise(0, 50)
    training[1] = training[0]
    space = kind(training, training[:1])
    ratios = space.search(training[:3]).ratios
    np.testing.assert_array_equal(ratios, 0)
    # The radius of a training image leaves out itself.
    radii = space.radii(np.array([0, 1, 2, 2]))
    assert radii[0] == radii[1] == 0
    assert radii[2] == radii[3] > 0
    others = np.delete(np.arange(50), 2)
    assert radii[2] == pytest.approx(kind(training[others], training[:1]).search(training[2:3])
                                     .nearest[0])  # fmt: skip


def test_a_space_is_kept_for_its_very_arrays() -> None:
    training, held_out = normal(0, 20), normal(1, 20)
    assert feature_space(training, held_out) is feature_space(training, held_out)
    assert feature_space(training.copy(), held_out) is not feature_space(training, held_out)


# C_T, AuthPct and the tests


def test_c_t_of_one_cell_is_the_z_score_of_mann_whitney() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(-0.8, 1, 200), random.normal(0, 1, 150)
    cells = np.zeros(200, np.int64), np.zeros(150, np.int64)
    result = copying.c_t(x, y, *cells)
    assert result is not None
    u = stats.mannwhitneyu(x, y).statistic
    expected = (u - 200 * 150 / 2) / np.sqrt(200 * 150 * 351 / 12)
    assert result.value == pytest.approx(expected)
    assert result.low < result.value < result.high < 0


def test_c_t_weighs_cells_by_their_held_out_images_and_leaves_small_ones_out() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=120), random.normal(size=100)
    x_cells, y_cells = np.repeat([0, 1, 2], [60, 55, 5]), np.repeat([0, 1, 2], [30, 50, 20])
    parts = []
    for cell in (0, 1):
        one = copying.c_t(x[x_cells == cell], y[y_cells == cell], x_cells[x_cells == cell] * 0,
                          y_cells[y_cells == cell] * 0)  # fmt: skip
        assert one is not None
        parts.append(one.value)
    result = copying.c_t(x, y, x_cells, y_cells)
    assert result is not None
    assert result.value == pytest.approx((30 * parts[0] + 50 * parts[1]) / 80)
    assert copying.c_t(x[:5], y, x_cells[:5], y_cells) is None


def test_the_interval_of_c_t_covers_its_expectation() -> None:
    """For X ~ N(d, 1), Y ~ N(0, 1): E[U / (n m)] = Phi(d / sqrt 2)."""
    n, m, d, trials = 80, 60, -0.7, 400
    expected = (stats.norm.cdf(d / np.sqrt(2)) - 0.5) / np.sqrt((n + m + 1) / (12 * n * m))
    cells = np.zeros(n, np.int64), np.zeros(m, np.int64)
    covered = 0
    for seed in range(trials):
        draws = np.random.default_rng(seed)
        result = copying.c_t(draws.normal(d, 1, n), draws.normal(0, 1, m), *cells)
        assert result is not None
        covered += result.low <= expected <= result.high
    # 95 % give or take three standard errors of 400 trials.
    assert covered / trials == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / trials))


@pytest.mark.parametrize("rounding", [8, 1])
def test_the_rank_test_is_that_of_mann_whitney(rounding: int) -> None:
    """With one digit many values tie."""
    random = np.random.default_rng(0)
    x = random.normal(-0.1, 1, 200).round(rounding)
    y = random.normal(0, 1, 150).round(rounding)
    expected = stats.mannwhitneyu(x, y, use_continuity=False, alternative="less",
                                  method="asymptotic").pvalue  # fmt: skip
    assert copying.rank_test(x, y) == pytest.approx(expected)
    assert copying.rank_test(x * 0, y * 0) == 1


@pytest.mark.parametrize("copies", [0, 5, 40])
def test_the_tail_test_is_that_of_fisher(copies: int) -> None:
    random = np.random.default_rng(0)
    x, y = random.uniform(size=300), random.uniform(size=200)
    x[:copies] = 0
    k = max(25, copies)  # 5 % of 500, and all that tie
    inside = int((np.argsort(np.concatenate([x, y]), kind="stable")[:k] < 300).sum())
    table = [[inside, k - inside], [300 - inside, 200 - k + inside]]
    expected = stats.fisher_exact(table, alternative="greater").pvalue
    assert copying.tail_test(x, y, 0.05) == pytest.approx(expected, rel=1e-9)


def test_a_share_has_the_interval_of_wilson() -> None:
    expected = stats.binomtest(7, 200).proportion_ci(method="wilson")
    result = copying.share(7, 200)
    assert result.value == pytest.approx(3.5)
    assert (result.low, result.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert (copying.share(0, 200).low, copying.share(200, 200).high) == (0, 100)


def test_authentic_samples_are_counted_by_brute_force() -> None:
    training, samples = normal(0, 60), normal(1, 200)
    space = FeatureSpace(training, samples)
    distances, own = cdist(samples, training), cdist(training, training)
    np.fill_diagonal(own, np.inf)
    authentic = distances.min(axis=1) > own.min(axis=1)[distances.argmin(axis=1)]
    result = copying.authenticity(space, space.search(samples))
    assert result.value == pytest.approx(100 * authentic.mean())
    copied = copying.authenticity(space, space.search(training))
    assert copied.value == 0


def test_the_ratio_tests_keep_their_level_and_see_a_few_copies() -> None:
    p_values = {}
    for copies in (0, 15):
        p = []
        for seed in range(200):
            draws = np.random.default_rng(seed)
            tests: list[float] = []
            for _ in range(2):
                samples, held_out = draws.uniform(0.3, 1, 300), draws.uniform(0.3, 1, 300)
                samples[:copies] = draws.uniform(0, 0.3, copies)
                tests += copying.ratio_tests(samples, held_out)
            p.append(copying.audit(tests, parts=1.0).p)
        p_values[copies] = np.array(p)
    # At most 5 % of p-values are below .05, give or take three standard errors.
    assert (p_values[0] < 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
    assert (p_values[15] < copying.LEVEL).mean() > 0.95


@pytest.mark.parametrize("smallest", [0.3, 1e-3, 1e-40])
def test_p_values_are_combined_by_cauchys_distribution(smallest: float) -> None:
    ratios, parts = [smallest, 0.2, 0.7], 0.4
    terms = stats.cauchy.isf([*ratios, parts])
    expected = stats.cauchy.sf(terms @ [1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert copying.audit(ratios, parts).p == pytest.approx(expected, rel=1e-6)


def test_the_verdict_says_what_is_near() -> None:
    assert copying.audit([0.5, 0.2], 0.9).verdict == "no sign of copying"
    # The smallest has a quarter of the weight, or half of it where it is that of parts.
    near = "nearer to the training images than held-out images are (p = 4e-06)"
    assert copying.audit([0.5, 1e-6], 0.9).verdict == near
    parts = "parts are nearer to the training than to held-out images (p = 2e-06)"
    assert copying.audit([0.5, 0.2], 1e-6).verdict == parts
    assert copying.audit([0.5] * 18, 1e-6).verdict == parts
    assert copying.audit([0.0, 0.2], 0.9).verdict.endswith("(p < 1e-99)")


# Parts


def test_the_nearest_parts_are_those_of_brute_force() -> None:
    samples, real = noise(0, 20, side=16), noise(1, 30, side=16)  # 2 x 2 windows
    samples[3, :, :12, :12] = 7  # shows nothing
    result = parts.nearest_parts(samples, real)
    assert result.squares.shape == (20, 4)
    for place, (i, j) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        cut = np.s_[:, :, i : i + 12, j : j + 12]
        distances = cdist(samples[cut].reshape(20, -1) / 255, real[cut].reshape(30, -1) / 255)
        visible = np.arange(20) != (3 if place == 0 else -1)
        np.testing.assert_array_equal(result.indices[:, place], distances.argmin(axis=1))
        np.testing.assert_allclose(
            result.squares[visible, place], distances.min(axis=1)[visible] ** 2, rtol=1e-4
        )
    assert np.isinf(result.squares[3, 0])


def test_the_parts_test_is_that_of_all_permutations_of_the_labels() -> None:
    """Counts (3, 2, 2, 1, 0) of three training and two held-out images: all 10 choices of 3."""
    indices = np.repeat([0, 1, 2], [3, 2, 2])
    training = parts.NearestParts(
        np.append(np.zeros(7), 2.0)[:, None], np.append(indices, 0)[:, None]
    )
    held_out = parts.NearestParts(np.ones((8, 1)), np.zeros((8, 1), np.int64))
    sums = np.array([sum(c) for c in combinations([3, 2, 2, 1, 0], 3)])
    z = (7 - sums.mean()) / sums.std()
    assert parts.parts_test(training, held_out, 3, 2) == pytest.approx(stats.norm.sf(z))


def test_a_copied_corner_is_a_part_of_training_images() -> None:
    training, held_out, samples = noise(0, 200, 28), noise(1, 100, 28), noise(2, 100, 28)

    def p(images: NDArray[np.uint8]) -> float:
        return parts.copied_parts(images, training, held_out)

    assert p(samples) > 0.01
    samples[:, :, :14, :14] = training[:100, :, :14, :14]
    assert p(samples) < 1e-6


# FLD


def test_the_likelihood_is_that_of_a_mixture() -> None:
    points, centres = normal(0, 20, 3), normal(1, 4, 3)
    variances = np.array([0.1, 0.5, 1.0, 2.0])
    expected = np.log(np.mean([
        stats.multivariate_normal(centre, variance * np.eye(3)).pdf(points)
        for centre, variance in zip(centres, variances, strict=True)
    ], axis=0))  # fmt: skip
    np.testing.assert_allclose(
        likelihood.log_likelihood(points, centres, variances), expected, rtol=1e-4
    )


def test_em_finds_the_widths_of_the_greatest_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(likelihood, "STEPS", 300)
    points, centres = normal(0, 80, 3), normal(1, 5, 3)
    squares = cdist(points, centres, "sqeuclidean")
    background = np.square(points - points.mean(axis=0)).sum(axis=1)

    def loss(log_variances: NDArray[np.float64]) -> float:
        """The last variance is that of the background."""
        variances = np.exp(log_variances)
        terms = -0.5 * (squares / variances[:-1] + 3 * np.log(2 * np.pi * variances[:-1]))
        outside = -0.5 * (background / variances[-1] + 3 * np.log(2 * np.pi * variances[-1]))
        return -float(np.logaddexp(np.logaddexp.reduce(terms - np.log(5), axis=1), outside).mean())

    start = np.append(np.log(squares.min(axis=0) / 3), 0.0)
    expected = minimize(loss, start, options={"gtol": 1e-8})
    variances = likelihood.fit_variances(centres, points)
    with_background = np.append(np.log(variances), expected.x[-1])
    assert loss(with_background) == pytest.approx(expected.fun, abs=1e-5)


def test_fld_is_0_for_fresh_samples_and_punishes_bad_missing_and_copied_ones() -> None:
    centres = 2 * normal(9, 4, 16)

    def draw(seed: int, n: int) -> Float:
        return centres[np.arange(n) % 4] + 0.3 * normal(seed, n, 16)

    training, held_out, samples = draw(0, 800), draw(1, 200), draw(2, 400)

    def fld(x: Float) -> float:
        result = likelihood.fld(x, training, held_out)
        assert result is not None and result.low < result.value < result.high
        return result.value

    fresh = fld(samples)
    # Another draw of as many centres: a few hundredths of a nat per dimension at most.
    assert abs(fresh) < 5
    assert fld(samples + 0.5 * normal(3, 400, 16)) > fresh + 10
    assert fld(samples[np.arange(400) % 4 > 0]) > fresh + 10
    assert fld(training[:400]) > fresh + 10
    assert likelihood.fld(samples, training, held_out[:5]) is None


@pytest.mark.parametrize("count", [60, 200, 800])
def test_fld_of_a_perfect_model_is_0_however_few_training_images_there_are(count: int) -> None:
    """400 samples; beside 60 training images all of them would have an FLD of -12, beside 200 -6.

    The standard deviation of one draw is 2.3 at 60 training images, so that of the mean .7.
    """
    width = normal(9, 16, 16) / 4  # of correlated features

    def fld(seed: int) -> float:
        training, held_out, samples = (
            normal(seed + i, n, 16) @ width for i, n in enumerate((count, 1000, 400))
        )
        result = likelihood.fld(samples, training, held_out)
        assert result is not None
        return result.value

    assert np.mean([fld(10 * k + 100) for k in range(12)]) == pytest.approx(0, abs=2)


# Digits


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return genlab.load_data("digits")


@pytest.fixture(scope="module")
def benchmark() -> Any:
    """benchmarks/memorisation.py."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return import_module("memorisation")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_planted_copies_of_digits_are_seen(benchmark: Any, digits: ImageData) -> None:
    """The benchmark, on fewer digits: of 400 samples 20 are copies, exact or shifted."""
    images = digits.images[np.random.default_rng(0).permutation(4000)]
    training, pool = images[:1000], images[1000:2500]
    components = {"principal components": benchmark.principal_components(training)}
    measured = benchmark.measure(training, pool, components)
    p = {
        (kind, copies): np.array(
            [benchmark.trial(measured, kind, copies, 400, 400, i) for i in range(20)]
        )
        for kind, copies in (("none", 0.0), ("exact", 0.05), ("shifted", 0.05))
    }
    assert (p["none", 0.0] < copying.LEVEL).mean() <= 0.05
    for kind in ("exact", "shifted"):
        assert copying.superiority(p["none", 0.0], p[kind, 0.05])[0] >= 0.95
        assert (p[kind, 0.05] < copying.LEVEL).mean() >= 0.95


def row(images: NDArray[np.uint8], digits: ImageData) -> RowComparison:
    """A row of digits that are compared in pixels and in coarse pixels."""
    training, held_out = digits.images[::4], digits.held_out[::2]
    sets = (images, training, held_out)
    features = [
        {"features": coarse(x).reshape(len(x), -1), "logits": np.zeros((len(x), 0), np.float32)}
        for x in sets
    ]
    space = Comparison(features[0], features[1], CONFIG, features[2])
    return RowComparison(*sets, {"coarse": space}, CONFIG)


def test_a_row_of_fresh_digits_a_blurred_one_and_one_with_copies(
    digits: ImageData,
) -> None:
    fresh = digits.held_out[1::2]
    shifted = np.roll(digits.images[:100:4], 1, axis=3)  # shifted training images
    verdicts = {}
    for name, images in {
        "fresh": fresh,
        "blurred": gaussian_filter(fresh, (0, 0, 1, 1)),
        "copies": np.concatenate([fresh[25:], shifted]),
    }.items():
        values = Memorisation().compute(row(images, digits))
        assert all(value is not None for value in values.values())
        verdicts[name] = values
    assert verdicts["fresh"]["copying"] == verdicts["blurred"]["copying"] == "no sign of copying"
    assert str(verdicts["copies"]["copying"]).startswith("nearer to the training images than")
    # Blurred samples are near to everything, which C_T takes for copying.
    c_t_high = verdicts["blurred"]["pixel_c_t_high"]
    assert isinstance(c_t_high, float) and c_t_high < 0
    assert verdicts["copies"]["copies"] == pytest.approx(5, abs=0.5)


def test_without_held_out_images_there_is_no_verdict() -> None:
    images = noise(0, 40)
    for held_out in (None, images[:5]):
        values = measure_row(RowComparison(images, images, held_out, {}, CONFIG))
        assert values["copying"] is values["copies_low"] is None
