"""FDr: closed forms, and influences against redrawn samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genlab.evaluation.fd_ratio import Ratio, mean_ratio, ratio, real_distance
from genlab.evaluation.intervals import frechet_estimate

DIMENSIONS = 6


def normal(n: int, random: np.random.Generator, shift: float = 0.0) -> NDArray[np.float32]:
    return (random.standard_normal((n, DIMENSIONS)) + shift).astype(np.float32)


def fd_ratio(samples: NDArray[np.float32], real: NDArray[np.float32], distance: float) -> Ratio:
    estimate = frechet_estimate(samples, real)
    assert estimate is not None
    return ratio(estimate, distance)


def test_other_real_images_score_1() -> None:
    """In the mean over draws: the distance of real images is itself that of such a draw."""
    random = np.random.default_rng(0)
    scores = []
    for _ in range(60):
        real, others = normal(400, random), normal(1600, random)
        distance = real_distance(real, others, 400)
        assert distance is not None
        scores.append(fd_ratio(normal(400, random), real, distance).value)
    error = np.std(scores, ddof=1) / np.sqrt(len(scores))
    assert abs(np.mean(scores) - 1) < 4 * error


@pytest.mark.parametrize("others", [24, 100, 399])
def test_perfect_samples_score_1_where_there_are_few_other_real_images(others: int) -> None:
    """As many samples are compared. All 400 of them would score below .1 beside 24 real images."""
    random = np.random.default_rng(3)
    scores = []
    for _ in range(100):
        real = normal(800, random)
        distance = real_distance(real, normal(others, random), others)
        assert distance is not None
        scores.append(fd_ratio(normal(400, random)[:others], real, distance).value)
    error = np.std(np.log(scores), ddof=1) / np.sqrt(len(scores))
    assert abs(np.mean(np.log(scores))) < 4 * error


def test_the_distance_of_real_images_is_the_mean_over_disjoint_subsets() -> None:
    random = np.random.default_rng(1)
    real, others = normal(300, random), normal(250, random)
    estimates = [frechet_estimate(others, real), frechet_estimate(others[:5], real)]
    assert estimates[0] is not None
    assert real_distance(real, others, 250) == pytest.approx(estimates[0].value)
    halves = real_distance(real, others, 125)
    assert halves is not None
    assert halves > 1.5 * estimates[0].value  # half the images, twice the distance
    assert estimates[1] is real_distance(real, others, 5) is None


def test_the_mean_over_spaces_is_geometric_and_so_are_its_influences() -> None:
    """log 3 = (log 1 + log 9) / 2; d log 3 is the mean of each influence over its value."""
    parts = {
        "a": Ratio(1.0, np.array([1.0, -1.0]), np.array([2.0, -2.0, 0.0])),
        "b": Ratio(9.0, np.array([-9.0, 9.0]), np.array([0.0, 18.0, -18.0])),
    }
    mean = mean_ratio(parts)
    assert mean.value == pytest.approx(3)
    assert mean.of_samples.tolist() == [0, 0]
    assert mean.of_reference == pytest.approx([3, 0, -3])


def test_the_spread_over_sampling_seeds_is_that_of_redrawn_samples() -> None:
    random = np.random.default_rng(2)
    real = normal(1000, random)
    rows = [fd_ratio(normal(500, random, shift=0.4), real, 0.1) for _ in range(200)]
    predicted = np.mean([row.log_sampling for row in rows])
    observed = np.std(np.log([row.value for row in rows]), ddof=1)
    assert predicted == pytest.approx(observed, rel=0.2)  # four standard errors, 1 / sqrt(400)
