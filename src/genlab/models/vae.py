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

Two ways to keep z in use while it has nothing to say yet: `kl_warmup` lets the KL's weight rise
from 0, and `free_bits` asks no less of a dimension than lambda nats, so that it costs nothing to
use them: sum_j max(lambda, mean over the batch of KL_j) (Kingma et al. 2016, arXiv:1606.04934,
equation 15).

What p(x|z) is, `genlab.nn.likelihoods` says. Samples and reconstructions are its mean, not draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from genlab.config.families import Likelihood as Bound
from genlab.config.families.vae import VAEOptions
from genlab.models.base import Batch, Model
from genlab.models.latents import ACTIVE
from genlab.nn.likelihoods import grey_values, make_likelihood
from genlab.nn.unet import group_norm
from genlab.processes.noise import SampleNoise

LOGVAR_RANGE = (-12.0, 8.0)  # keeps exp() finite in the first steps; never reached later
PATCH = 4  # side of the blocks of pixels that become channels
DECODED = 1000  # latents decoded at a time when there are K for each image


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) for every dimension, same shape as `mu`, in nats."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, exp(logvar)) for every dimension, in nats; the three are broadcast."""
    return -0.5 * ((z - mu).square() * (-logvar).exp() + logvar + math.log(2 * math.pi))


def log_mean_exp(values: Tensor, dim: int) -> Tensor:
    """log of the mean of exp(values) over `dim`, in float64: of log weights, IWAE-K."""
    return values.double().logsumexp(dim) - math.log(values.shape[dim])


class LatentModel(Protocol):
    """A decoder p(x|z) under z ~ N(0, I), and a Gaussian encoder q(z|x)."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, C, H, W] -> mu, logvar of q(z|x), [B, L]."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """z [B, L] -> what `log_likelihood` takes."""
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
        mu, logvar: of the Gaussian q, [B, L].

    Returns:
        u [K, B, L] -> nats [K, B].
    """

    def of(u: Tensor) -> Tensor:
        z = mu + (0.5 * logvar).exp() * u  # [K, B, L]
        x = images.expand(len(u), *images.shape).flatten(0, 1)
        log_p = model.log_likelihood(x, model.decode(z.flatten(0, 1))).reshape(u.shape[:2])
        log_prior = log_normal(z, torch.zeros_like(mu), torch.zeros_like(mu))
        return log_p + (log_prior - log_normal(z, mu, logvar)).sum(dim=-1)

    return of


def rise(progress: float, share: float) -> float:
    """From 0 to 1 over the first `share` of the training, then 1."""
    return min(progress / share, 1.0) if share else 1.0


class VAE(Model):
    """An encoder and a decoder, each with convolutions on a grid of H/4 and one hidden layer.

    Blocks of 4 x 4 pixels are folded into channels on the way in and unfolded on the way out. On a
    CPU that is several times as fast as strided convolutions from the full side down, and in the
    same time it learns more.
    """

    def __init__(self, config: VAEOptions, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        channels, height, width = shape
        c = config.channels
        grid = (c, height // PATCH, width // PATCH)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            nn.Conv2d(PATCH**2 * channels, c, 3, padding=1),
            group_norm(c),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(math.prod(grid), config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, 2 * config.latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latent, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, math.prod(grid)),
            nn.SiLU(),
            nn.Unflatten(1, grid),
            nn.Conv2d(c, c, 3, padding=1),
            group_norm(c),
            nn.SiLU(),
            nn.Conv2d(c, PATCH**2 * channels, 3, padding=1),
            nn.PixelShuffle(PATCH),
        )
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

    def observed(self, images: Tensor) -> Tensor:
        """What the model is shown of `images`: black and white draws of them, if it binarises."""
        return torch.bernoulli(images) if self.config.binarise == "dynamic" else images

    def regulariser(self, kl: Tensor, progress: float) -> Tensor:
        """What the training adds to the distortion, a scalar in nats, of `kl` [B, latent]."""
        paid = kl.mean(dim=0).clamp(min=self.config.free_bits).sum()
        return rise(progress, self.config.kl_warmup) * paid

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective in nats per image; the negative ELBO and its parts; the state of z.

        `active_units` counts the dimensions in use (Burda et al. 2016, section 5.2).
        """
        images = self.observed(batch.images)
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
            images: [B, C, H, W] on [0, 1], as the model is shown them.
            target: what log p(x|z) is taken of, if not `images`.
        """
        mu, logvar = self.encode(images)
        of = log_weight(self, images if target is None else target, mu, logvar)
        n = max(1, DECODED // len(images))
        return torch.cat([of(torch.randn(min(n, k - i), *mu.shape).to(mu)) for i in range(0, k, n)])

    def log_density(self, pixels: Tensor, kind: Bound, k: int) -> Tensor:
        """A lower bound of log p(y), float64 [B] in nats, of dequantised y [B, C, H, W].

        The encoder is shown x / 255 as in training, x = floor(256 y). A Gaussian is a density on
        [0, 1] already, and taken at y. A mass function P of grey values is spread evenly over
        each bin, whose volume is 256^-D: log p(y) = log P(x) + D log 256.
        """
        images = grey_values(pixels)
        target = images if self.likelihood.discrete else pixels
        bound = log_mean_exp(self.log_weights(images, k if kind == "iwae" else 1, target), dim=0)
        if self.likelihood.discrete:
            bound = bound + math.prod(self.shape) * math.log(256)
        return bound

    def generate(self, noise: SampleNoise) -> Tensor:
        """Decode z ~ N(0, I): the mean of p(x|z)."""
        return self.from_latent(noise.normal(self.config.latent))

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the mean of q(z|x)."""
        return self.from_latent(self.to_latent(images))

    def to_latent(self, images: Tensor) -> Tensor:
        """The mean of q(z|x), [B, latent]; grey images are not made black and white."""
        return self.encode(images)[0]

    def from_latent(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), [B, C, H, W] on [0, 1]."""
        return self.likelihood.mean(self.decode(z))
