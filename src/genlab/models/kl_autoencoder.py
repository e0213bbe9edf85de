"""The KL autoencoder of latent diffusion (Rombach et al. 2022, arXiv:2112.10752, section 3.1).

A variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114) whose latent is a grid z, and
whose KL divergence has a very small weight: the prior is learned afterwards, by diffusion. With
q(z|x) = N(mu, sigma^2), training minimises

    E_q [-log p(x|z)] + kl KL(q(z|x) || N(0, 1)) + perceptual |f(x) - f(m(z))|^2

for each image. The first two terms are in nats (here both are divided by the number of pixels), so
`kl: 1` is a VAE's bound, and the paper's 1e-6 has the same meaning. In the last one f are the
features of the frozen domain classifier, where the paper uses an ImageNet network, and m(z) is the
mean of p(x|z); it is a mean over features.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.config.families.kl_autoencoder import KLAutoencoderConfig
from genlab.models.autoencoder import Autoencoder
from genlab.models.base import Batch
from genlab.models.classifier import Classifier
from genlab.nn.densities import gaussian_kl


class DiagonalGaussian(NamedTuple):
    """N(mean, exp(logvar)), float32 [B, c, h, w] each; here q(z|x)."""

    mean: Tensor
    logvar: Tensor

    def draw(self) -> Tensor:
        """A random sample z."""
        return self.mean + (self.logvar / 2).exp() * torch.randn_like(self.mean)

    def kl(self) -> Tensor:
        """The divergence from N(0, 1), in nats [B]."""
        return gaussian_kl(self.mean, self.logvar).sum(dim=(1, 2, 3))


class KLAutoencoder(Autoencoder):
    """An autoencoder with a Gaussian q(z|x) on its grid."""

    config: KLAutoencoderConfig
    first_stage: Classifier | None

    def __init__(
        self,
        config: KLAutoencoderConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Classifier | None = None,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        self.latent_shape = (config.latent, *self.grid)
        self.encoder = self.make_encoder(2 * config.latent)
        self.likelihood, self.decoder = self.make_decoder()

    def encode(self, images: Tensor) -> DiagonalGaussian:
        """images [B, C, H, W] on [0, 1] -> q(z|x)."""
        mean, logvar = self.encoder(2 * images - 1).float().chunk(2, dim=1)
        return DiagonalGaussian(mean, logvar.clamp(-30, 20))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective divided by the number of pixels; `kl` in nats per image."""
        q = self.encode(batch.images)
        decoded = self.decode(q.draw())
        values = self.distortion(batch.images, decoded)
        kl = q.kl().mean()
        loss = values["distortion"] + self.config.kl * kl / math.prod(self.shape)
        values |= {"kl": kl}
        if self.first_stage is not None:
            features = self.first_stage.features
            errors = features(self.likelihood.mean(decoded)) - features(batch.images)
            values["perceptual"] = errors.float().square().mean()
            loss = loss + self.config.perceptual * values["perceptual"]
        return {"loss": loss, **values}

    def images_of(self, z: Tensor) -> Tensor:
        """The mean of p(x|z), [B, C, H, W] on [0, 1]."""
        return self.likelihood.mean(self.decode(z)).clamp(0, 1)

    def reconstruct(self, images: Tensor) -> Tensor:
        """Decode the mean of q(z|x)."""
        return self.images_of(self.encode(images).mean)
