"""The discrepancy under a Gaussian kernel against its definition and a closed form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genlab.evaluation import neighbours
from genlab.evaluation.gaussian_mmd import median_distance, squared_mmd
from genlab.evaluation.intervals import QUANTILE

Floats = NDArray[np.float64]
DIMENSIONS = 4


def normal(seed: int, n: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((n, DIMENSIONS))


def brute(x: Floats, y: Floats, sigma: float) -> float:
    """The mean kernel over all pairs of different vectors."""

    def kernel(a: Floats, b: Floats) -> Floats:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=-1) / (2 * sigma**2))

    def other(a: Floats) -> float:
        k = kernel(a, a)
        return float((k.sum() - np.trace(k)) / (len(a) * (len(a) - 1)))

    return other(x) + other(y) - 2 * float(kernel(x, y).mean())


@pytest.mark.parametrize("block", [1000, 7])
def test_the_estimate_and_its_jackknife_follow_their_definitions(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", block)
    x, y, sigma = normal(0, 12), 1.5 * normal(1, 17), 2.0
    estimate = squared_mmd(x, y, sigma)
    assert estimate.value == pytest.approx(brute(x, y, sigma), abs=1e-14)
    variance = 0.0
    for part, values in (
        (x, [brute(np.delete(x, i, axis=0), y, sigma) for i in range(12)]),
        (y, [brute(x, np.delete(y, i, axis=0), sigma) for i in range(17)]),
    ):
        variance += np.var(values) * (len(part) - 1)
    assert (estimate.high - estimate.value) / QUANTILE == pytest.approx(variance**0.5, rel=1e-9)
    assert estimate.value - estimate.low == pytest.approx(estimate.high - estimate.value, rel=1e-9)


@pytest.mark.parametrize("sigma", [1.0, 10.0])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (0.5, 1.0), (0.0, 1.4)])
def test_two_gaussians_have_the_distance_of_the_closed_form(
    sigma: float, shift: float, scale: float
) -> None:
    """E k(a, b) = (sigma^2 / (sigma^2 + v))^(d/2) exp(-|mu|^2 / 2 (sigma^2 + v)).

    Here a - b has mean mu and covariance v I. sigma 10 is that of the paper on CLIP.
    """

    def expected(v: float, squared_mean: float) -> float:
        spread = sigma**2 + v
        return float((sigma**2 / spread) ** (DIMENSIONS / 2) * np.exp(-squared_mean / (2 * spread)))

    truth = expected(2, 0) + expected(2 * scale**2, 0)
    truth -= 2 * expected(1 + scale**2, DIMENSIONS * shift**2)
    estimate = squared_mmd(shift + scale * normal(0, 2000), normal(1, 1500), sigma)
    # Twice the interval: four standard errors.
    assert abs(estimate.value - truth) < 2 * (estimate.high - estimate.value)
    if shift or scale != 1:
        assert estimate.low > 0


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_intervals_cover_the_expectation(shift: float) -> None:
    """Over 200 pairs of new sets; 90 % is three standard errors below 95 %."""
    estimates = [
        squared_mmd(normal(2 * seed, 150) + shift, normal(2 * seed + 1, 200), 2.0)
        for seed in range(200)
    ]
    truth = np.mean([estimate.value for estimate in estimates])
    assert np.mean([e.low <= truth <= e.high for e in estimates]) > 0.90


def test_the_median_distance_of_a_grid_is_known() -> None:
    """Between 0, 1, 2, 3 and 4: 1 four times, 2 three times, 3 twice and 4 once."""
    assert median_distance(np.arange(5.0)[:, None]) == pytest.approx(2)
