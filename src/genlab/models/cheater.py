"""The cheater: a generator that is trained on the score by which it is measured.

The Frechet distance between two sets of features, of means mu, mu_r and covariances S, S_r, is

    FD = |mu - mu_r|^2 + tr(S + S_r - 2 (S_r^1/2 S S_r^1/2)^1/2)

(Heusel et al. 2017, arXiv:1706.08500, equation 6, in a symmetric form). It is differentiable in
the features, and these in the images, so it can be a loss: FD-loss (Yang et al. 2026,
arXiv:2604.28190). Training needs no discriminator and no pairs of images; it moves two moments.

Here f are the features of the study's domain classifier, which is frozen, and in every step

    z_i ~ N(0, I),  x_i = decoder(z_i),  i = 1 ... samples
    loss = FD of the f(x_i) from the features of all training images

The league measures FID in the very same features. So the cheater is good there, whatever its images
look like, and only features that it did not train on show this. It calibrates the league: a metric
by which the cheater ranks high can be gamed.
"""

from __future__ import annotations

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


def covariance_of(x: Tensor) -> Tensor:
    """The covariance [F, F] of features [N, F]; `torch.cov` waits for a GPU to check N."""
    columns = x.T
    columns = columns - (columns.sum(dim=1) / len(x))[:, None]
    return columns.mm(columns.T) / (len(x) - 1)


class FrechetDistance:
    """The Frechet distance of features from a reference set, differentiable in the features.

    Args:
        reference: features of the reference set, [M, F].
    """

    def __init__(self, reference: Tensor) -> None:
        reference = reference.double()
        self.mean = reference.mean(dim=0)  # [F]
        self.covariance = covariance_of(reference)  # S_r, [F, F]
        eigenvalues, vectors = torch.linalg.eigh(self.covariance)
        self.root = vectors * eigenvalues.clamp(min=0).sqrt() @ vectors.T  # S_r^1/2

    def __call__(self, features: Tensor) -> Tensor:
        """The distance of `features` [N, F], a scalar in float64.

        tr M^1/2 of M = S_r^1/2 S S_r^1/2 is the sum of the roots of M's eigenvalues.
        """
        features = features.double()  # which autocast leaves alone
        covariance = covariance_of(features)
        eigenvalues = torch.linalg.eigvalsh(self.root @ covariance @ self.root)
        cross = eigenvalues.clamp(min=SMALLEST).sqrt().sum()
        shift = (features.mean(dim=0) - self.mean).square().sum()
        distance: Tensor = shift + covariance.trace() + self.covariance.trace() - 2 * cross
        return distance


class Cheater(Model):
    """A VAE's decoder that minimises FD in the features of its first stage, the classifier."""

    config: CheaterConfig
    first_stage: Classifier
    distance: FrechetDistance
    """From the training images; there from `measure` on."""

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

    @torch.no_grad()
    def measure(self, images: NDArray[np.uint8]) -> None:
        """Extract the features of all training images, and note their mean and covariance."""
        device = next(self.parameters()).device
        features = [self.first_stage.features(x).float() for x in in_parts(images, device)]
        self.distance = FrechetDistance(torch.cat(features))

    def images_of(self, z: Tensor) -> Tensor:
        """z [B, latent] -> images [B, C, H, W] on [0, 1]."""
        images: Tensor = self.decoder(z).float().sigmoid()
        return images

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """FD of `config.samples` random images from the training images.

        The batch does not matter, so a held-out loss is that of other random images.
        """
        z = torch.empty(self.config.samples, self.config.latent, device=batch.images.device)
        z.normal_()  # `randn` would take it for noise of the batch where that is as large
        return {"loss": self.distance(self.first_stage.features(self.images_of(z))).float()}

    def generate(self, noise: SampleNoise) -> Tensor:
        """Decode z ~ N(0, I)."""
        return self.images_of(noise.normal(self.config.latent))
