"""The loss of a family that clips its predictions: the best prediction, and black that is black."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import genlab
from genlab.config.families.ddpm import DDPMConfig
from genlab.config.families.edm import EDMConfig
from genlab.config.families.flow_matching import FlowMatchingConfig
from genlab.config.families.score_sde import ScoreSDEConfig
from genlab.config.networks import UNetConfig
from genlab.models.base import Batch, Facts, build_model
from genlab.models.gaussian import GaussianModel, NoisedBatch


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


FAMILIES = {
    "eps": DDPMConfig(prediction="eps"),
    "x0": DDPMConfig(prediction="x0"),
    "v": DDPMConfig(prediction="v"),
    "eps of VE": ScoreSDEConfig(sde="ve", prediction="eps"),
    "edm": EDMConfig(),
    "velocity": FlowMatchingConfig(),
}


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("prediction", FAMILIES)
def test_no_error_is_what_the_clipped_denoiser_has(prediction: str, value: float) -> None:
    """Black and white pixels: an output errs just where its clipped x_0 isn't the pixel's value."""
    network = {"channels": 8, "multipliers": [1]}
    config = FAMILIES[prediction].model_copy(update={"network": UNetConfig(**network)})
    model = build_model(config, Facts((1, 4, 4), 1), 0)
    assert isinstance(model, GaussianModel)
    torch.manual_seed(0)
    images = torch.full((64, 1, 4, 4), value)
    noised = model.add_noise(Batch(images, torch.zeros(64, dtype=torch.int64)))
    # Targets with errors of either sign, of the size that moves x_0 by about 1
    output = noised.target + torch.randn_like(noised.x) / noised.slope.abs()
    x0 = model.denoiser().interpret(output, noised.x, noised.t).x0
    pixelwise = noised._replace(
        x0=noised.x0.reshape(-1, 1, 1, 1), target=noised.target.reshape(-1, 1, 1, 1),
        slope=noised.slope.expand_as(noised.x).reshape(-1, 1, 1, 1),
    )  # fmt: skip
    exact = pixelwise.errors(output.reshape(-1, 1, 1, 1)) == 0
    assert torch.equal(exact, (x0 == 2 * value - 1).flatten())
    assert 0.3 < float(exact.float().mean()) < 0.7  # half of the errors point outwards


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
