"""The variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

A latent z ~ N(0, I) is decoded to p(x|z); an encoder approximates the posterior by
q(z|x) = N(mu(x), diag(exp(logvar(x)))). Training maximises the evidence lower bound (equation 3)

    log p(x) >= ELBO = E_q[log p(x|z)] - KL(q(z|x) || N(0, I))

summed over pixels and latent dimensions, averaged over the batch. z = mu + std * eps carries the
gradient through the expectation (section 2.4), and the KL has a closed form (appendix B)

    KL = 1/2 sum_j (mu_j^2 + exp(logvar_j) - 1 - logvar_j)

Two likelihoods p(x|z):
    bernoulli   grey values in [0, 1] taken as probabilities: log p = sum x log m + (1-x) log(1-m)
    gaussian    N(m, s^2) with one learned s for all pixels and images ("sigma-VAE", Rybkin et al.
                2021, arXiv:2006.13202); a density of pixels in [0, 1]
Samples and reconstructions are the decoder's mean m, not draws from p(x|z).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.vae import VAEConfig
from genlab.models.base import Batch, Model
from genlab.nn.unet import group_norm
from genlab.processes.noise import SampleNoise

LOGVAR_RANGE = (-12.0, 8.0)  # keeps exp() finite in the first steps; never reached later


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) for every dimension, same shape as `mu`, in nats."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


class VAE(Model):
    """Encoder and decoder of three convolutional levels: H, H/2, H/4."""

    def __init__(self, config: VAEConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        channels, height, width = shape
        c = config.channels
        self.coarse = (2 * c, height // 4, width // 4)
        flat = math.prod(self.coarse)
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, c, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(c, 2 * c, 4, stride=2, padding=1),  # H/2
            group_norm(2 * c),
            nn.SiLU(),
            nn.Conv2d(2 * c, 2 * c, 4, stride=2, padding=1),  # H/4
            group_norm(2 * c),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(flat, 256),
            nn.SiLU(),
            nn.Linear(256, 2 * config.latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latent, 256),
            nn.SiLU(),
            nn.Linear(256, flat),
            nn.SiLU(),
            nn.Unflatten(1, self.coarse),
            nn.ConvTranspose2d(2 * c, 2 * c, 4, stride=2, padding=1),  # H/2
            group_norm(2 * c),
            nn.SiLU(),
            nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1),  # H
            group_norm(c),
            nn.SiLU(),
            nn.Conv2d(c, channels, 3, padding=1),
        )
        # Of the Gaussian likelihood. It starts near the spread of the pixels themselves.
        self.log_sigma = nn.Parameter(torch.tensor(-1.0))

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, C, H, W] on [0, 1] -> mu, logvar of q(z|x), float32 [B, latent]."""
        mu, logvar = self.encoder(2 * images - 1).float().chunk(2, dim=1)
        return mu, logvar.clamp(*LOGVAR_RANGE)

    def decode(self, z: Tensor) -> Tensor:
        """z [B, latent] -> logits of the mean of p(x|z), float32 [B, C, H, W]."""
        logits: Tensor = self.decoder(z).float()
        return logits

    def log_likelihood(self, images: Tensor, logits: Tensor) -> Tensor:
        """log p(x|z) [B] in nats, summed over pixels."""
        if self.config.likelihood == "bernoulli":
            log_p = -F.binary_cross_entropy_with_logits(logits, images, reduction="none")
        else:
            error = (images - logits.sigmoid()) / self.log_sigma.exp()
            log_p = -0.5 * error.square() - self.log_sigma - 0.5 * math.log(2 * math.pi)
        return log_p.sum(dim=(1, 2, 3))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The negative ELBO in nats per image, and its two parts."""
        mu, logvar = self.encode(batch.images)
        z = mu + (0.5 * logvar).exp() * torch.randn_like(mu)
        distortion = -self.log_likelihood(batch.images, self.decode(z)).mean()
        rate = gaussian_kl(mu, logvar).sum(dim=1).mean()
        return {"loss": distortion + rate, "distortion": distortion, "kl": rate}

    def generate(self, noise: SampleNoise) -> Tensor:
        """Decode z ~ N(0, I): the mean of p(x|z)."""
        return self.decode(noise.normal(self.config.latent)).sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the mean of q(z|x)."""
        return self.decode(self.encode(images)[0]).sigmoid()
