"""The variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

A latent z ~ N(0, I) is decoded to p(x|z); an encoder approximates the posterior by
q(z|x) = N(mu(x), diag(exp(logvar(x)))). Training maximises the evidence lower bound (equation 3)

    log p(x) >= ELBO = E_q[log p(x|z)] - KL(q(z|x) || N(0, I))

summed over pixels and latent dimensions, averaged over the batch. z = mu + std * eps carries the
gradient through the expectation (section 2.4), and the KL has a closed form (appendix B)

    KL = 1/2 sum_j (mu_j^2 + exp(logvar_j) - 1 - logvar_j)

K draws give a tighter bound, IWAE-K (Burda et al. 2016, arXiv:1509.00519, equation 8), whose
expectation never falls with K and goes to log p(x):

    log 1/K sum_k w_k,  w_k = p(x|z_k) p(z_k) / q(z_k|x),  z_k ~ q(z|x)

Two options keep z in use early in training: `kl_warmup` raises the weight of the KL from 0, and
with `free_bits` a dimension's first lambda nats cost nothing: sum_j max(lambda, mean over the batch
of KL_j) (Kingma et al. 2016, arXiv:1606.04934, equation 15).

`genlab.nn.likelihoods` defines p(x|z). Samples and reconstructions are its mean, not random draws.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from genlab.config.families import DensityKind
from genlab.config.families.vae import VAEOptions
from genlab.models.base import Batch, Model, ramp
from genlab.models.latents import ACTIVE
from genlab.nn.collectives import mean_over_processes
from genlab.nn.densities import (
    dequantised,
    gaussian_kl,
    grey_values,
    log_mean_exp,
    log_normal,
    log_standard_normal,
)
from genlab.nn.layers import group_norm
from genlab.nn.likelihoods import make_likelihood
from genlab.nn.trunk import PATCH, patch_decoder
from genlab.processes.noise import SampleNoise

LOGVAR_RANGE = (-12.0, 8.0)  # keeps exp() finite in the first steps; never reached later
LATENTS_AT_ONCE = 1000  # number of latents decoded at a time for K draws an image


class LatentModel(Protocol):
    """A decoder p(x|z) under z ~ N(0, I), and a Gaussian encoder q(z|x)."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, C, H, W] -> mu, logvar of q(z|x), [B, L]."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """z [B, L] -> parameters of p(x|z), for `log_likelihood`."""
        ...

    def log_likelihood(self, images: Tensor, decoded: Tensor) -> Tensor:
        """log p(x|z) [B] in nats."""
        ...


def log_weight(
    model: LatentModel, images: Tensor, mu: Tensor, logvar: Tensor
) -> Callable[[Tensor], Tensor]:
    """log w = log p(x, z) - log q(z|x) of z = mu + std u, as a function of u.

    Args:
        images: x, [B, C, H, W].
        mu, logvar: parameters of the Gaussian q, [B, L].

    Returns:
        u [K, B, L] -> nats [K, B].
    """

    def log_w(u: Tensor) -> Tensor:
        z = mu + (0.5 * logvar).exp() * u  # [K, B, L]
        x = images.expand(len(u), *images.shape).flatten(0, 1)
        log_p = model.log_likelihood(x, model.decode(z.flatten(0, 1))).reshape(u.shape[:2])
        return log_p + (log_standard_normal(z) - log_normal(z, mu, logvar)).sum(dim=-1)

    return log_w


class VAE(Model):
    """An encoder and a decoder, each with convolutions on a grid of H/4 and one hidden layer.

    Blocks of 4 x 4 pixels are folded into channels in the encoder and unfolded in the decoder. On a
    CPU that is several times as fast as strided convolutions from full resolution, and it learns
    more in the same time.
    """

    def __init__(self, config: VAEOptions, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        channels, height, width = shape
        c = config.channels
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            nn.Conv2d(PATCH**2 * channels, c, 3, padding=1),
            group_norm(c),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(c * (height // PATCH) * (width // PATCH), config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, 2 * config.latent),
        )
        self.decoder = patch_decoder(config.latent, config.hidden, c, shape)
        self.likelihood = make_likelihood(config.likelihood, config.sigma)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, C, H, W] on [0, 1] -> mu, logvar of q(z|x), float32 [B, latent]."""
        mu, logvar = self.encoder(2 * images - 1).float().chunk(2, dim=1)
        return mu, logvar.clamp(*LOGVAR_RANGE)

    def decode(self, z: Tensor) -> Tensor:
        """z [B, latent] -> parameters of p(x|z), float32 [B, C, H, W]: logits or means."""
        decoded: Tensor = self.likelihood.link(self.decoder(z).float())
        return decoded

    def log_likelihood(self, images: Tensor, decoded: Tensor) -> Tensor:
        """log p(x|z) [B] in nats, summed over pixels."""
        return self.likelihood.log_prob(images, decoded).sum(dim=(1, 2, 3))

    def binarised(self, images: Tensor) -> Tensor:
        """`images`, or random black and white images with these grey values as probabilities."""
        return torch.bernoulli(images) if self.config.binarise == "dynamic" else images

    def regulariser(self, kl: Tensor, progress: float) -> Tensor:
        """Term added to the distortion in training, a scalar in nats, from `kl` [B, latent]."""
        rates = kl.mean(dim=0)
        if self.config.free_bits and self.training:
            rates = mean_over_processes(rates)
        return ramp(progress, self.config.kl_warmup) * rates.clamp(min=self.config.free_bits).sum()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective in nats per image, the ELBO and its parts, and usage of z.

        `active_units` is the number of dimensions in use (Burda et al. 2016, section 5.2).
        """
        images = self.binarised(batch.images)
        mu, logvar = self.encode(images)
        z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
        distortion = -self.log_likelihood(images, self.decode(z)).mean()
        kl = gaussian_kl(mu, logvar)
        rates = kl.mean(dim=0)  # [latent]
        return {
            "loss": distortion + self.regulariser(kl, batch.progress),
            "elbo": -(distortion + rates.sum()),
            "distortion": distortion,
            "kl": rates.sum(),
            "active_units": (mu.var(dim=0, correction=0) > ACTIVE).sum().float(),
            **{f"kl/{j:02}": rate for j, rate in enumerate(rates)},
        }

    @torch.no_grad()
    def log_weights(self, images: Tensor, k: int, target: Tensor | None = None) -> Tensor:
        """log p(x|z) + log p(z) - log q(z|x) of k draws z ~ q(z|x), float32 [k, B], in nats.

        Args:
            images: input of the encoder, [B, C, H, W] on [0, 1].
            target: x of log p(x|z); `images` if None.
        """
        mu, logvar = self.encode(images)
        log_w = log_weight(self, images if target is None else target, mu, logvar)
        n = max(1, LATENTS_AT_ONCE // len(images))
        return torch.cat(
            [log_w(torch.randn(min(n, k - i), *mu.shape).to(mu)) for i in range(0, k, n)]
        )

    def log_density(self, pixels: Tensor, kind: DensityKind, k: int) -> Tensor:
        """A lower bound of log p(y), float64 [B] in nats, of dequantised y [B, C, H, W].

        The encoder gets x / 255 as in training, x = floor(256 y). A Gaussian p(x|z) is a density
        and evaluated at y; a probability of grey values is spread evenly over each bin.
        """
        images = grey_values(pixels)
        target = images if self.likelihood.discrete else pixels
        bound = log_mean_exp(self.log_weights(images, k if kind == "iwae" else 1, target), dim=0)
        return dequantised(bound, self.shape) if self.likelihood.discrete else bound

    def generate(self, noise: SampleNoise) -> Tensor:
        """Decode z ~ N(0, I): the mean of p(x|z)."""
        return self.from_latent(noise.normal(self.config.latent))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the mean of q(z|x)."""
        return self.from_latent(self.to_latent(images))

    def to_latent(self, images: Tensor) -> Tensor:
        """The mean of q(z|x), [B, latent]; grey images are not binarised."""
        return self.encode(images)[0]

    def from_latent(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), [B, C, H, W] on [0, 1]."""
        return self.likelihood.mean(self.decode(z))
