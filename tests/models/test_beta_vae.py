"""The beta-VAE: what it adds to the VAE's loss, against the two papers' formulas."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracles import awake
from torch import Tensor

from genlab.config.base import build
from genlab.config.families.beta_vae import BetaVAEConfig
from genlab.config.families.vae import VAEConfig
from genlab.errors import ConfigError
from genlab.models.base import Batch
from genlab.models.beta_vae import BetaVAE
from genlab.models.vae import VAE
from genlab.nn.densities import gaussian_kl

IMAGES = torch.linspace(0, 1, 5 * 64).reshape(5, 1, 8, 8)


def make(**values: Any) -> BetaVAE:
    config = BetaVAEConfig(likelihood="bernoulli", latent=3, channels=4, **values)
    return awake(BetaVAE(config, (1, 8, 8), 10))


@torch.no_grad()
def loss(model: VAE, progress: float = 1.0) -> dict[str, Tensor]:
    """The loss on five images, always with the same draws of z."""
    torch.manual_seed(0)
    return model.loss(Batch(IMAGES, torch.zeros(5, dtype=torch.int64), progress))


@pytest.mark.parametrize("beta", [0.0, 0.5, 4.0])
def test_beta_multiplies_the_kl_of_the_summed_elbo(beta: float) -> None:
    values = loss(make(beta=beta), progress=0.3)
    expected = values["distortion"] + beta * values["kl"]
    torch.testing.assert_close(values["loss"], expected, rtol=1e-6, atol=0)  # float32
    torch.testing.assert_close(values["elbo"], -values["distortion"] - values["kl"])


def test_beta_one_is_the_vae() -> None:
    """The same loss of the same weights and draws, to the rounding of a sum in another order."""
    model = make(beta=1.0)
    vae = VAE(VAEConfig(likelihood="bernoulli", latent=3, channels=4), (1, 8, 8), 10).eval()
    vae.load_state_dict(model.state_dict())
    torch.testing.assert_close(loss(model)["loss"], loss(vae)["loss"], rtol=1e-6, atol=0)


@pytest.mark.parametrize(("progress", "capacity"), [(0.0, 0.0), (0.2, 10.0), (0.4, 20), (1.0, 20)])
def test_kl_is_held_near_a_capacity_that_rises(progress: float, capacity: float) -> None:
    """Burgess et al., equation 8; linear from 0 to 20 nats over two fifths of the training."""
    model = make(beta=30.0, capacity=20.0, capacity_warmup=0.4)
    with torch.no_grad():
        kl = gaussian_kl(*model.encode(IMAGES)).sum(dim=1)
    values = loss(model, progress)
    expected = values["distortion"] + 30 * sum(abs(float(k) - capacity) for k in kl) / 5
    torch.testing.assert_close(values["loss"], expected, rtol=1e-5, atol=0)  # float32


def test_a_capacity_is_where_training_ends() -> None:
    """A decoder that is told how much it may learn learns that much, within a tenth."""
    model = make(beta=100.0, capacity=2.0, capacity_warmup=0.0)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    images = torch.eye(8).reshape(8, 1, 8, 1).expand(8, 1, 8, 8)  # eight bars: log 8 = 2.08 nats
    for _ in range(200):
        values = model(Batch(images, torch.zeros(8, dtype=torch.int64)))
        optimizer.zero_grad()
        values["loss"].backward()
        optimizer.step()
    assert float(values["kl"].detach()) == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"beta": -1}, "beta"),
        ({"capacity": -0.1}, "capacity"),
        ({"capacity_warmup": 2}, "capacity_warmup"),
        ({"latent": 0}, "latent"),
        ({"free_bits": 1}, "free_bits"),
    ],
)
def test_mistakes_are_config_errors(values: dict[str, float], key: str) -> None:
    with pytest.raises(ConfigError, match=f"here.*{key}"):
        build(BetaVAEConfig, values, "here")


def test_the_league_says_which_beta() -> None:
    bernoulli: dict[str, Any] = {"likelihood": "bernoulli"}
    assert BetaVAEConfig(**bernoulli).variant == "beta 4, Bernoulli"
    burgess = BetaVAEConfig(beta=30, capacity=25, **bernoulli)
    assert burgess.variant == "gamma 30, capacity 25 nats, Bernoulli"
