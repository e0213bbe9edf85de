"""What the families on a Gaussian path share: the papers' losses, classes, the denoiser.

Each loss is written down by hand, from the paper, on the random numbers that training draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from oracles import awake, ideal_denoiser, posterior_mean_of_points
from torch import Tensor

from genlab.config.families import build_family
from genlab.models.base import Batch, Facts, build_model
from genlab.models.edm import EDM
from genlab.models.gaussian import GaussianModel
from genlab.processes.noise import SampleNoise
from genlab.samplers import find
from genlab.sampling.draw import classes_of

SHAPE, CLASSES = (1, 4, 4), 3
NETWORK: dict[str, Any] = {"channels": 4, "multipliers": [1], "attention": []}
FAMILIES: dict[str, dict[str, Any]] = {
    "ddpm": {"family": "ddpm", "prediction": "eps", "timesteps": 100, "schedule": "linear"},
    "vp": {"family": "score_sde", "sde": "vp"},
    "subvp": {"family": "score_sde", "sde": "subvp"},
    "ve": {"family": "score_sde", "sde": "ve"},
    "edm": {"family": "edm"},
    "flow": {"family": "flow_matching"},
    "dit": {
        "family": "flow_matching",
        "network": {"backbone": "dit", "width": 8, "heads": 2, "depth": 2, "convolution": True},
    },
}

families = pytest.mark.parametrize("name", FAMILIES)


def make(name: str, **more: Any) -> GaussianModel:
    config = build_family({"network": NETWORK, **FAMILIES[name], **more}, "here")
    model = build_model(config, Facts(SHAPE, CLASSES), seed=0)
    assert isinstance(model, GaussianModel)
    return model


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)) % CLASSES)


class Drawn(NamedTuple):
    """Image, noise and u that a loss by hand is made of, and the network as the paper calls it."""

    x0: Tensor
    eps: Tensor
    u: Tensor
    network: Callable[[Tensor, Tensor], Tensor]


def four(level: Tensor) -> Tensor:
    return level.float()[:, None, None, None]


def score_matching(samples: Drawn, alpha: Tensor, sigma: Tensor, t: Tensor) -> Tensor:
    """E lambda ||s(x, t) - grad log p(x|x_0)||^2, lambda = sigma^2 (2011.13456, equation 7).

    s = -F / sigma, F the network of x scaled to the variance of 1 that unit data would have.
    """
    mean, std = four(alpha) * samples.x0, four(sigma)
    x = mean + std * samples.eps
    score = -samples.network(x / four((alpha**2 + sigma**2).sqrt()), 999 * t) / std
    return (std * (score - -(x - mean) / std**2)).square().mean()


def ddpm(samples: Drawn) -> Tensor:
    """Algorithm 1 of 2006.11239."""
    index = (samples.u * 100).long()
    alpha_bar = torch.cumprod(1 - torch.linspace(1e-3, 0.2, 100).double(), dim=0)[index]
    x = four(alpha_bar.sqrt()) * samples.x0 + four((1 - alpha_bar).sqrt()) * samples.eps
    return (samples.eps - samples.network(x, 10 * index)).square().mean()


def vp(samples: Drawn, sub: bool = False) -> Tensor:
    """Equation 29 and appendix C of 2011.13456, with beta from .1 to 20."""
    t = 1e-5 + (1 - 1e-5) * samples.u
    alpha = (-(t**2) * (20 - 0.1) / 4 - t * 0.1 / 2).exp()
    variance = 1 - alpha**2
    return score_matching(samples, alpha, variance if sub else variance.sqrt(), t)


def ve(samples: Drawn) -> Tensor:
    t = 1e-5 + (1 - 1e-5) * samples.u
    return score_matching(samples, torch.ones_like(t), 0.01 * (50 / 0.01) ** t, t)


def edm(samples: Drawn) -> Tensor:
    """Equation 2 with table 1 of 2206.00364: lambda(sigma) ||D(y + n; sigma) - y||^2."""
    sigma, data = (-1.2 + 1.2 * samples.u).exp(), 0.5  # u is normal here
    total = sigma**2 + data**2
    x = samples.x0 + four(sigma) * samples.eps
    output = samples.network(x / four(total.sqrt()), 1000 * sigma.log() / 4)
    denoised = four(data**2 / total) * x + four(sigma * data / total.sqrt()) * output
    weight = total / (sigma * data) ** 2
    return (four(weight) * (denoised - samples.x0).square()).mean()


def flow(samples: Drawn) -> Tensor:
    """Equation 23 of 2210.02747, its time turned round: ||v(x_t, t) - (noise - image)||^2."""
    x = four(1 - samples.u) * samples.x0 + four(samples.u) * samples.eps
    return (samples.network(x, 1000 * samples.u) - (samples.eps - samples.x0)).square().mean()


BY_HAND: dict[str, Callable[[Drawn], Tensor]] = {
    "ddpm": ddpm,
    "vp": vp,
    "subvp": lambda samples: vp(samples, sub=True),
    "ve": ve,
    "edm": edm,
    "flow": flow,
    "dit": flow,
}


@torch.no_grad()
@families
def test_the_loss_is_the_paper_s(name: str) -> None:
    model, n = awake(make(name)), 64
    images = torch.rand(n, *SHAPE)
    torch.manual_seed(1)
    loss = model.loss(batch_of(images))["loss"]
    torch.manual_seed(1)
    eps = torch.randn(n, *SHAPE)
    if name == "ddpm":
        u = (torch.randint(100, (n,)).double() + 0.5) / 100
    else:
        u = (torch.randn if name == "edm" else torch.rand)(n, dtype=torch.float64)
    expected = BY_HAND[name](Drawn(2 * images - 1, eps, u, model.network))
    # float32: EDM's and the score's weights undo divisions by sigma of .01 and less
    torch.testing.assert_close(loss, expected, rtol=2e-4, atol=0)


@torch.no_grad()
@families
def test_the_ideal_network_has_no_loss_and_leads_to_the_image(name: str) -> None:
    """On a data set of one image the right prediction is certain: the loss is 0 at every time."""
    model = make(name)
    image = torch.rand(1, *SHAPE)
    mean = posterior_mean_of_points(2 * image.flatten(1).double() - 1)
    ideal = ideal_denoiser(mean, model.path, model.prediction, float(model.sigma_data))
    model.predict = ideal.network  # type: ignore[method-assign, assignment]
    loss = float(model.loss(batch_of(image.expand(200, -1, -1, -1)))["loss"])
    # x_t is rounded to 2**-24 and what is asked for is divided by sigma, .003 at the least; where
    # t is drawn from all of 0..1, VP's is as small as .001 and a flow's 1 / 200 of that.
    assert loss < 1e-5
    *_, last = find("ddim")(model.denoiser(), SampleNoise(0, range(2)), SHAPE, steps=10)
    target = (2 * image - 1).double().expand(2, -1, -1, -1)
    torch.testing.assert_close(last.x, target, rtol=0, atol=1e-4)


@torch.no_grad()
@families
def test_a_conditional_network_is_told_the_class_but_for_the_dropped_share(name: str) -> None:
    model = make(name, conditional=True, label_dropout=0.2)
    recorded: list[Tensor] = []
    model.network.register_forward_pre_hook(lambda _, arguments: recorded.append(arguments[2]))
    n = 2000
    batch = batch_of(torch.rand(n, *SHAPE))
    model.loss(batch)
    dropped = recorded[0] == CLASSES
    assert torch.equal(recorded[0][~dropped], batch.labels[~dropped])
    # Five standard errors of a share of .2 among n
    assert float(dropped.float().mean()) == pytest.approx(0.2, abs=5 * (0.16 / n) ** 0.5)
    for label in range(CLASSES):  # and independently of the class
        share = float(dropped[batch.labels == label].float().mean())
        assert share == pytest.approx(0.2, abs=5 * (0.16 * CLASSES / n) ** 0.5)


@families
def test_other_networks_are_told_nothing(name: str) -> None:
    model = make(name)
    assert model.condition(batch_of(torch.rand(2, *SHAPE))) is None
    assert model.denoiser(torch.zeros(2, dtype=torch.int64), guidance=1.0).labels is None
    assert not any("embed_label" in key for key in model.state_dict())


@torch.no_grad()
@families
def test_no_labels_mean_the_label_of_none(name: str) -> None:
    model = awake(make(name, conditional=True))
    x, t = torch.randn(4, *SHAPE), 0.3
    classes = classes_of(SampleNoise(0, range(4)), model)
    without = model.denoiser()(x, t).x0
    assert torch.equal(without, model.denoiser(torch.full((4,), CLASSES))(x, t).x0)
    assert torch.equal(without, model.denoiser(classes, guidance=0.0)(x, t).x0)
    conditional = model.denoiser(classes)
    assert not torch.allclose(conditional(x, t).x0, without)
    assert (conditional.null, conditional.evaluations) == (CLASSES, 4)


@families
@pytest.mark.parametrize("clip", [True, False])
def test_the_denoiser_is_made_of_the_model_s_settings(name: str, clip: bool) -> None:
    model = make(name, clip=clip)
    denoiser = model.denoiser()
    assert denoiser.path is model.path and denoiser.clip == clip and denoiser.evaluations == 0
    assert denoiser.prediction == model.prediction
    assert denoiser.sigma_data == (0.5 if isinstance(model, EDM) else 1.0)
    assert model.denoiser() is not denoiser  # each drawing counts its own evaluations


@families
def test_the_loss_teaches_every_weight(name: str) -> None:
    """With labels and all: none is left without a gradient."""
    model = awake(make(name, conditional=True)).train()
    model.loss(batch_of(torch.rand(32, *SHAPE)))["loss"].backward()
    idle = [n for n, weight in model.named_parameters() if weight.grad is None]
    assert not idle
