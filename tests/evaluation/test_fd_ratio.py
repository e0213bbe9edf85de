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


def test_the_distance_of_real_images_is_the_mean_over_disjoint_subsets() -> None:
    random = np.random.default_rng(1)
    real, others = normal(300, random), normal(250, random)
    few = real_distance(real, others, 1000)  # all that there are
    estimate = frechet_estimate(others, real)
    assert estimate is not None
    assert few == pytest.approx(estimate.value)
    assert real_distance(real, others[: DIMENSIONS - 1], 1000) is None


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
