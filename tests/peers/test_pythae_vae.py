"""The VAE's and beta-VAE's losses are those of pythae, on the same images, posteriors and draws.

Its convention: `loss_function` takes what its decoder made of z. Its "bce" is the Bernoulli of
grey values. Its "mse" is a Gaussian of standard deviation 1 without the constant D/2 log(2 pi),
which is added here. Its DisentangledBetaVAE lets the capacity rise with epochs, as epoch /
(warmup_epoch + 1), where ours goes by the share of the training.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from oracles import awake
from pythae import models as pythae
from torch import Tensor

from genlab.config.families.beta_vae import BetaVAEConfig
from genlab.config.families.vae import VAEConfig
from genlab.models.base import Batch
from genlab.models.beta_vae import BetaVAE
from genlab.models.vae import VAE

SHAPE, LATENT = (1, 8, 8), 3
OWN: dict[str, dict[str, Any]] = {
    "bce": {"likelihood": "bernoulli"},
    "mse": {"likelihood": "gaussian-fixed", "sigma": 1.0},
}
CONSTANT = {"bce": 0.0, "mse": math.prod(SHAPE) / 2 * math.log(2 * math.pi)}
kinds = pytest.mark.parametrize("kind", OWN)


def peer_settings(kind: str) -> dict[str, Any]:
    return {"input_dim": SHAPE, "latent_dim": LATENT, "reconstruction_loss": kind}


def assert_same(own: VAE, peer: pythae.VAE, kind: str, progress: float = 1.0, **when: int) -> None:
    """Loss, distortion and KL agree to 1e-4 of some 50 nats, on the same five images and draws."""
    images = torch.rand(5, *SHAPE)
    torch.manual_seed(1)
    values = awake(own).loss(Batch(images, torch.zeros(5, dtype=torch.int64), progress))
    torch.manual_seed(1)
    mu, logvar = own.encode(images)
    z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
    mean: Tensor = own.from_latent(z)
    loss, distortion, kl = peer.loss_function(mean, images, mu, logvar, z, **when)
    result = (values["loss"], values["distortion"], values["kl"])
    expected = (loss + CONSTANT[kind], distortion + CONSTANT[kind], kl)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


@kinds
def test_vae_loss_is_that_of_pythae(kind: str) -> None:
    own = VAE(VAEConfig(latent=LATENT, channels=4, **OWN[kind]), SHAPE, 10)
    peer = pythae.VAE(
        pythae.VAEConfig(input_dim=SHAPE, latent_dim=LATENT, reconstruction_loss=kind)
    )
    assert_same(own, peer, kind)


@kinds
@pytest.mark.parametrize("beta", [0.5, 4.0])
def test_beta_vae_loss_is_that_of_pythae(kind: str, beta: float) -> None:
    """Both multiply the KL of the summed bound: 4 means 4 in either."""
    own = BetaVAE(BetaVAEConfig(latent=LATENT, channels=4, beta=beta, **OWN[kind]), SHAPE, 10)
    peer = pythae.BetaVAE(pythae.BetaVAEConfig(beta=beta, **peer_settings(kind)))
    assert_same(own, peer, kind)


@kinds
@pytest.mark.parametrize("epoch", [0, 3, 10])
def test_capacity_loss_is_that_of_pythae(kind: str, epoch: int) -> None:
    """|KL - C| of each image, C after `epoch` of 4 + 1 epochs of warm-up among 10 in all."""
    own = BetaVAE(
        BetaVAEConfig(
            latent=LATENT, channels=4, beta=10, capacity=6, capacity_warmup=0.5, **OWN[kind]
        ),
        SHAPE,
        10,
    )
    config = pythae.DisentangledBetaVAEConfig(
        beta=10.0, C=6.0, warmup_epoch=4, **peer_settings(kind)
    )
    peer = pythae.DisentangledBetaVAE(config)
    assert_same(own, peer, kind, progress=epoch / 10, epoch=epoch)
