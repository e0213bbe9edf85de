"""The loss of a family that clips its predictions: the best prediction, and black that is black."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import genlab
from genlab.models.base import Batch
from genlab.models.gaussian import NoisedBatch


def expected_error(prediction: float, values: Tensor, clip: bool) -> float:
    """Mean error of predicting one number for x_0 of these values, [N], by a network of x_0."""
    x0 = values[:, None, None, None]
    noised = NoisedBatch(x0, x0, torch.ones(len(x0)), x0, torch.ones_like(x0), clip)
    return float(noised.errors(torch.full_like(x0, prediction)).mean())


@pytest.mark.parametrize(
    "values", [[-1.0, -1.0, -1.0, 0.6], [1.0, 1.0, -0.2, 1.0], [-1.0, 1.0, 1.0, 0.0]]
)
def test_the_best_prediction_is_the_mean(values: list[float]) -> None:
    """With some or most of the values at an end of the range, by brute force."""
    x0 = torch.tensor(values, dtype=torch.float64)
    grid = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    errors = [expected_error(float(p), x0, clip=True) for p in grid]
    best = grid[torch.tensor(errors).argmin()]
    assert float(best) == pytest.approx(float(x0.mean()), abs=1e-3)  # a step of the grid


def test_a_certain_end_may_be_predicted_beyond() -> None:
    black, white = -torch.ones(3), torch.ones(3)
    assert expected_error(-1.7, black, clip=True) == 0
    assert expected_error(1.7, white, clip=True) == 0
    assert expected_error(-0.9, black, clip=True) == pytest.approx(0.01)
    assert expected_error(-1.1, black, clip=False) == pytest.approx(0.01)
    assert expected_error(1.1, black, clip=True) == pytest.approx(4.41)  # beyond the other end


@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
def test_beyond_means_beyond_for_every_prediction(prediction: str) -> None:
    """A network that predicts x_0 = -1.2 for black pixels has no error, at any level."""
    black = torch.zeros(64, 1, 4, 4, dtype=torch.uint8)
    config = {"network": {"channels": 8, "multipliers": [1]}, "prediction": prediction}
    ddpm = genlab.fit("ddpm", black, images_seen=64, progress=False, **config)
    noised = ddpm.add_noise(Batch(torch.zeros(64, 1, 4, 4), torch.zeros(64, dtype=torch.int64)))
    for x0, error in ((-1.2, False), (-0.8, True)):
        output = noised.target + (x0 - noised.x0) / noised.slope
        assert (noised.errors(output) > 1e-6).all() == error


def grounds(clip: bool) -> float:
    """Share of black pixels in samples of a short training on grey squares on black."""
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(256, 1, 8, 8, dtype=torch.uint8)
    for image, (i, j) in zip(images, torch.randint(5, (256, 2), generator=generator), strict=True):
        image[0, i : i + 4, j : j + 4] = 160
    model = genlab.fit(
        "flow", images, images_seen=4800, progress=False, clip=clip,
        network={"channels": 16, "multipliers": [1], "patch": 1}, learning_rate=2e-3,
    )  # fmt: skip
    return float((genlab.sample(model, n=64, steps=10) == 0).float().mean())


def test_black_ground_is_black() -> None:
    """Three quarters of the images' pixels are black; a plain loss leaves half of them grey."""
    assert grounds(clip=True) > 1.5 * grounds(clip=False)
