"""The DDPM: its loss against the analytic expectation and at the ideal network."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from oracles import IdealNetwork, StreamNoise, posterior_mean_of_points
from torch import Tensor
from torch.distributions import Normal

from genlab.config.families.ddpm import DDPMConfig
from genlab.config.networks import UNetConfig
from genlab.models.base import Batch
from genlab.models.ddpm import DDPM
from genlab.processes.gaussian import Prediction
from genlab.processes.schedules import SCHEDULES
from genlab.samplers import find

SHAPE = (1, 4, 4)
UNET = UNetConfig(channels=4, multipliers=(1,), attention=())

predictions = pytest.mark.parametrize("prediction", get_args(Prediction))
schedules = pytest.mark.parametrize("schedule", SCHEDULES)


def make_ddpm(schedule: str, prediction: Prediction, timesteps: int) -> DDPM:
    config = DDPMConfig.model_validate(
        {"schedule": schedule, "prediction": prediction, "timesteps": timesteps, "network": UNET}
    )
    return DDPM(config, SHAPE, 10)


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64))


@torch.no_grad()
@predictions
@schedules
def test_loss_of_the_untrained_network_is_its_expectation(
    schedule: str, prediction: Prediction
) -> None:
    """The network says 0, so that the loss is E[eps^2] = 1, or E[v^2] over t, eps and pixels.

    E[v^2] = mean_t(alpha_bar_t + (1 - alpha_bar_t) x_0^2), since E[eps] = 0; grey .9 is x_0 = .8.
    """
    ddpm = make_ddpm(schedule, prediction, 1000)
    images = torch.full((1000, *SHAPE), 0.9)
    losses = torch.stack([ddpm.loss(batch_of(images))["loss"] for _ in range(30)])
    alpha_bar = ddpm.path.alpha_bar
    v_squared = float((alpha_bar + (1 - alpha_bar) * 0.8**2).mean())
    expected = {"eps": 1.0, "v": v_squared}[prediction]
    # Four standard errors of the mean of 30 losses, themselves of 16 000 pixels each
    assert float(losses.mean()) == pytest.approx(expected, abs=4 * float(losses.std()) / 30**0.5)
    assert float(losses.std()) < 0.02  # about sqrt(2 / 16 000): the tolerance means something


@torch.no_grad()
@pytest.mark.parametrize("timesteps", [1000, 64])
@predictions
@schedules
def test_the_ideal_network_has_no_loss_and_gives_the_data_back(
    schedule: str, prediction: Prediction, timesteps: int
) -> None:
    """On a data set of one image the right prediction is certain: the loss is 0 at every time.

    So loss and denoiser agree on the scale of pixels, on the scale of times whatever T is, and on
    what is predicted; and sampling ends at the image.
    """
    ddpm = make_ddpm(schedule, prediction, timesteps)
    image = torch.rand(1, *SHAPE)
    mean = posterior_mean_of_points(2 * image.flatten(1).double() - 1)
    ddpm.network = IdealNetwork(mean, ddpm.path.alpha_bar, prediction)  # type: ignore[assignment]
    loss = ddpm.loss(batch_of(image.expand(500, -1, -1, -1)))["loss"]
    # x_t is rounded to 2**-24 and then divided by sigma, .006 at the least: 1e-5, squared.
    assert float(loss) < 1e-9
    *_, last = find("ddim")(ddpm.denoiser(), StreamNoise(0, 3), SHAPE, steps=10)
    torch.testing.assert_close(
        last.x, (2 * image - 1).double().expand(3, -1, -1, -1), rtol=0, atol=1e-5
    )


@torch.no_grad()
@pytest.mark.parametrize("timesteps", [1000, 64])
@pytest.mark.parametrize("times", ["uniform", "logit-normal"])
def test_training_tells_the_network_times_on_0_to_1000(times: str, timesteps: int) -> None:
    """1000 t / T for whole t from 0 to T - 1, as often as their distribution says.

    'logit-normal' is the sigmoid of N(0, 1): P(t <= k) = Phi(logit((k + 1) / T)).
    """
    config = DDPMConfig.model_validate({"times": times, "timesteps": timesteps, "network": UNET})
    ddpm = DDPM(config, SHAPE, 10)
    seen: list[Tensor] = []
    ddpm.network.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[1]))
    n = 20 * timesteps
    ddpm.loss(batch_of(torch.rand(n, *SHAPE)))
    indices = seen[0].double() * timesteps / 1000
    torch.testing.assert_close(indices, indices.round(), rtol=0, atol=1e-4)  # float32 of 1000
    counts = torch.bincount(indices.round().long(), minlength=timesteps)
    assert len(counts) == timesteps
    if times == "uniform":
        assert bool((counts > 0).all())  # 20 of each are expected, none has chance T e^-20
    share = torch.arange(1, timesteps + 1, dtype=torch.float64) / timesteps
    below = share if times == "uniform" else Normal(0.0, 1.0).cdf(share.logit())
    # Kolmogorov: a gap of 2 / sqrt(n) anywhere has chance 2 e^-8 = .0007
    assert float((counts.cumsum(0) / n - below).abs().max()) < 2 / n**0.5


@predictions
def test_the_denoiser_is_made_of_the_models_settings(prediction: Prediction) -> None:
    for clip in (True, False):
        config = DDPMConfig(timesteps=10, prediction=prediction, clip=clip, network=UNET)
        ddpm = DDPM(config, SHAPE, 10)
        denoiser = ddpm.denoiser()
        assert denoiser.network is ddpm.network and len(denoiser) == 10
        assert (denoiser.prediction, denoiser.clip, denoiser.evaluations) == (prediction, clip, 0)
        assert ddpm.denoiser() is not denoiser  # each drawing counts its own evaluations
