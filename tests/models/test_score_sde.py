"""Score SDEs: the path by its name, the times, and what the network is shown."""

from __future__ import annotations

import pytest
import torch
from oracles import ideal_denoiser, posterior_mean_of_points
from torch import Tensor

from genlab.config.families.score_sde import ScoreSDEConfig
from genlab.config.gaussian import PredictionType
from genlab.config.networks import UNetConfig
from genlab.models.base import Batch
from genlab.models.score_sde import ScoreSDE
from genlab.processes.paths import GaussianPath, SubVPPath, VEPath, VPPath

SHAPE = (1, 4, 4)
UNET = UNetConfig(channels=4, multipliers=(1,), attention=())

sdes = pytest.mark.parametrize("sde", ["vp", "subvp", "ve"])


def make_sde(sde: str) -> ScoreSDE:
    config = ScoreSDEConfig.model_validate({"sde": sde, "network": UNET})
    return ScoreSDE(config, SHAPE, 10)


@pytest.mark.parametrize(("sde", "path"), [("vp", VPPath), ("subvp", SubVPPath), ("ve", VEPath)])
def test_the_path_is_that_of_the_sde(sde: str, path: type[GaussianPath]) -> None:
    assert type(make_sde(sde).path) is path


@sdes
def test_times_are_uniform_from_just_above_zero(sde: str) -> None:
    n = 4000
    t = make_sde(sde).draw_times(n, torch.device("cpu")).sort().values
    assert float(t[0]) >= 1e-5 and float(t[-1]) <= 1
    # Kolmogorov: a gap of 2 / sqrt(n) anywhere has chance 2 e^-8 = .0007
    assert float((t - torch.arange(n) / n).abs().max()) < 2 / n**0.5


@torch.no_grad()
@sdes
@pytest.mark.parametrize("t", [0.01, 0.5, 1.0])
def test_the_network_is_shown_unit_variance_of_unit_data_at_every_time(sde: str, t: float) -> None:
    """So VE's x_t, 50 times the image in the end, doesn't drown the network."""
    model, n = make_sde(sde), 4000
    model.draw_times = lambda n, device: torch.full((n,), t).double()  # type: ignore[method-assign]
    inputs: list[Tensor] = []
    model.network.register_forward_pre_hook(lambda _, arguments: inputs.extend(arguments[:2]))
    images = (torch.randn(n, *SHAPE) + 1) / 2
    model.loss(Batch(images, torch.zeros(n, dtype=torch.int64)))
    # Five standard errors of a variance of 16 n normals
    assert float(inputs[0].var()) == pytest.approx(1, abs=5 * (2 / (16 * n)) ** 0.5)
    assert float(inputs[1][0]) == pytest.approx(999 * t, rel=1e-6)  # float32


@torch.no_grad()
@sdes
@pytest.mark.parametrize("prediction", ["eps", "edm"])
def test_the_ideal_network_has_no_loss_whatever_it_says(
    sde: str, prediction: PredictionType
) -> None:
    """On a data set of one image the right answer is certain, and the denoiser reads it."""
    config = ScoreSDEConfig.model_validate({"sde": sde, "prediction": prediction, "network": UNET})
    model = ScoreSDE(config, SHAPE, 10)
    image = torch.rand(1, *SHAPE)
    mean = posterior_mean_of_points(2 * image.flatten(1).double() - 1)
    model.predict = ideal_denoiser(mean, model.path, prediction).network  # type: ignore[method-assign]
    many = image.expand(500, -1, -1, -1)
    loss = model.loss(Batch(many, torch.zeros(500, dtype=torch.int64)))["loss"]
    # x_t is rounded to 2**-24 and divided by sigma, which sub-VP lets fall to 1e-6 at t = 1e-5
    assert float(loss) < 1e-4
    result = model.denoiser()(torch.randn(5, *SHAPE).double(), 0.5)
    expected = (2 * image - 1).double().expand(5, -1, -1, -1)
    torch.testing.assert_close(result.x0, expected, rtol=0, atol=1e-6)
