"""The cheater: a generator that is trained on the ruler by which it is measured.

The Frechet distance between two sets of features, of means mu, mu_r and covariances S, S_r, is

    FD = |mu - mu_r|^2 + tr(S + S_r - 2 (S_r^1/2 S S_r^1/2)^1/2)

(Heusel et al. 2017, arXiv:1706.08500, equation 6, in a symmetric form). It is differentiable in
the features, and these in the images, so it can be a loss: FD-loss (Yang et al. 2026,
arXiv:2604.28190). Training needs no discriminator and no pairs of images; it moves two moments.

Here f are the features of the study's domain classifier, which is frozen, and in every step

    z_i ~ N(0, I),  x_i = decoder(z_i),  i = 1 ... samples
    loss = FD of the f(x_i) from the features of all training images

A few hundred samples say little about a covariance: their FD is far above 0 even if the decoder is
perfect. As in the paper, the gradient is that of one step's samples, but the moments are moving
averages over the steps before as well: m <- b m + (1 - b) (moments of the f(x_i)). Here b rises
from 0 to `memory`: at first the decoder changes too fast for its earlier images to tell anything.

The league measures FID in the very same features. So the cheater is good there, whatever its images
look like, and only features that it did not train on show this. It calibrates the league: a metric
by which the cheater ranks high can be gamed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.families.cheater import CheaterConfig
from genlab.config.families.vae import VAEConfig
from genlab.models.base import Batch, Model
from genlab.models.batches import in_parts
from genlab.models.classifier import Classifier
from genlab.models.vae import VAE
from genlab.processes.noise import SampleNoise

SMALLEST = 1e-12
"""Eigenvalues below are taken for zero: the square root has no derivative there."""


class Moments(NamedTuple):
    """First and second moments of features, float64.

    Attributes:
        mean: mu, [F].
        second: S + mu mu^T, [F, F]; moments of a mixture are means of moments.
    """

    mean: Tensor
    second: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """The moments of features [N, F]."""
        features = features.double()  # which autocast leaves alone
        mean = features.mean(dim=0)
        return cls(mean, torch.cov(features.T) + mean.outer(mean))

    @property
    def covariance(self) -> Tensor:
        """S, [F, F]."""
        return self.second - self.mean.outer(self.mean)


class FrechetDistance:
    """The Frechet distance from a reference set, differentiable in the moments of the other set.

    Args:
        reference: moments of the reference set.
    """

    def __init__(self, reference: Moments) -> None:
        self.reference = reference
        eigenvalues, vectors = torch.linalg.eigh(reference.covariance)
        self.root = vectors * eigenvalues.clamp(min=0).sqrt() @ vectors.T  # S_r^1/2

    def __call__(self, moments: Moments) -> Tensor:
        """The distance, a scalar.

        tr M^1/2 of M = S_r^1/2 S S_r^1/2 is the sum of the roots of M's eigenvalues.
        """
        eigenvalues = torch.linalg.eigvalsh(self.root @ moments.covariance @ self.root)
        cross = eigenvalues.clamp(min=SMALLEST).sqrt().sum()
        traces = moments.covariance.trace() + self.reference.covariance.trace()
        return (moments.mean - self.reference.mean).square().sum() + traces - 2 * cross


class Cheater(Model):
    """A VAE's decoder that minimises FD in the features of its first stage, the classifier."""

    config: CheaterConfig
    first_stage: Classifier
    distance: FrechetDistance
    """From the training images; there from `measure` on."""
    mean: Tensor
    second: Tensor

    def __init__(
        self,
        config: CheaterConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Classifier,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        options = VAEConfig(latent=config.latent, channels=config.channels, hidden=config.hidden)
        self.decoder = VAE(options, shape, classes).decoder
        f = first_stage.config.features
        self.register_buffer("mean", torch.zeros(f, dtype=torch.float64))
        self.register_buffer("second", torch.zeros(f, f, dtype=torch.float64))

    @torch.no_grad()
    def measure(self, images: NDArray[np.uint8]) -> None:
        """Note the moments of all training images; the moving averages start from them."""
        device = self.mean.device
        features = [self.first_stage.features(x).float() for x in in_parts(images, device)]
        reference = Moments.of(torch.cat(features))
        self.distance = FrechetDistance(reference)
        self._remember(reference)

    def images_of(self, z: Tensor) -> Tensor:
        """z [B, latent] -> images [B, C, H, W] on [0, 1]."""
        images: Tensor = self.decoder(z).float().sigmoid()
        return images

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """FD of `config.samples` random images, in training with those of earlier steps.

        The batch does not matter.
        """
        z = torch.randn(self.config.samples, self.config.latent, device=batch.images.device)
        moments = Moments.of(self.first_stage.features(self.images_of(z)))
        if self.training:
            share = 1 - self.config.memory * batch.progress
            moments = Moments(
                self.mean.lerp(moments.mean, share), self.second.lerp(moments.second, share)
            )
            self._remember(moments)
        return {"loss": self.distance(moments).float()}

    @torch.no_grad()
    def _remember(self, moments: Moments) -> None:
        """Set the moving averages, which are saved with the weights, to `moments`."""
        self.mean.copy_(moments.mean)
        self.second.copy_(moments.second)

    def generate(self, noise: SampleNoise) -> Tensor:
        """Decode z ~ N(0, I)."""
        return self.images_of(noise.normal(self.config.latent))
