"""Settings of the ELBO study (`genlab.evaluation.elbo`).

With the defaults, a VAE of 28 x 28 images takes half a minute on one core, and the part without a
network takes a few seconds.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from genlab.config.base import Strict, build, read_yaml

LARGEST_MATRIX = 4096
"""Rows of the largest matrix for an eigendecomposition, which takes about 15 s on one core."""
LARGEST_ARRAY = 2**27
"""Size of the largest array of images in numbers; 1 GiB in float64."""

AtLeastTwo = Annotated[int, Field(ge=2)]
"""A sample size from which a standard error is estimated."""


class BoundsConfig(Strict):
    """IWAE-K for several K, from one set of importance samples per image."""

    images: PositiveInt = 16
    """Number of held-out images, chosen at random."""
    samples: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000,
    )  # fmt: skip
    """Values of K in increasing order."""
    draws: AtLeastTwo = 2000
    """Number of importance samples per image; at least twice the largest K, for its error."""

    @model_validator(mode="after")
    def _enough_draws(self) -> BoundsConfig:
        if any(b <= a for a, b in pairwise(self.samples)):
            raise ValueError(f"samples: must rise from one K to the next, got {list(self.samples)}")
        if self.draws < 2 * self.samples[-1]:
            raise ValueError(
                f"draws: {self.draws} is too few: the error of K = {self.samples[-1]} needs two "
                f"groups of K, {2 * self.samples[-1]} draws; or remove the largest K from samples"
            )
        return self


class PPCAConfig(Strict):
    """Probabilistic PCA, with its exact posterior and with two wrong ones."""

    latent: PositiveInt = 16
    """Number of dimensions of z; less than the number of pixels."""
    train_images: AtLeastTwo = 10_000
    """Largest number of training images that it is fitted to."""
    held_out: AtLeastTwo = 1000
    """Largest number of held-out images that log p(x) is averaged over."""
    shift: PositiveFloat = 0.5
    """Distance of the shifted posterior's mean from the exact one, in standard deviations."""
    widen: Annotated[float, Field(gt=1)] = 1.5
    """Factor by which the widened posterior's standard deviation is too large."""
    bounds: BoundsConfig = BoundsConfig(
        samples=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000), draws=50_000
    )


class GradientsConfig(Strict):
    """Variance of gradient estimators of the ELBO, on probabilistic PCA."""

    latents: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 4, 8, 16, 32)
    """Numbers of dimensions of z to compare."""
    samples: AtLeastTwo = 8
    """Number of draws per estimate; the baseline of a draw is the mean of the others."""
    estimates: AtLeastTwo = 2000
    """Number of independent estimates that the variance is computed from."""


class DecompositionConfig(Strict):
    """Decomposition of the mean KL with the aggregate posterior."""

    images: AtLeastTwo = 1000
    """Number of held-out images whose posteriors are the aggregate posterior; all if there are
    fewer. The mutual information is at most the logarithm of it, the time grows with its
    square."""
    draws: AtLeastTwo = 2
    """Number of draws of z from the posterior of each image."""


class AnnealingConfig(Strict):
    """Annealed importance sampling by Hamiltonian Monte Carlo, for two-sided bounds on log p(x)."""

    start: Literal["local", "prior"] = "local"
    """Start of the path to p(x, z): the Gaussian that `local` fits to each image, or p(z), which is
    farther away and needs many more temperatures."""
    images: AtLeastTwo = 16
    """Number of held-out images; must equal `bounds.images`, whose images are used."""
    simulated: AtLeastTwo = 10
    """Number of images sampled from the model, for which both bounds exist."""
    chains: AtLeastTwo = 3
    """Number of chains per image in each direction."""
    temperatures: AtLeastTwo = 60
    """Number of steps along the path."""
    leapfrog: PositiveInt = 4
    """Number of leapfrog steps per transition; each takes one gradient of the decoder."""


class LocalConfig(Strict):
    """A posterior optimised for each image, to separate the amortisation and approximation gaps.

    Annealing can start from it.
    """

    steps: NonNegativeInt = 60
    """Number of Adam steps on mu and logvar of every image; 0 keeps the encoder's."""
    draws: AtLeastTwo = 4
    """Number of draws of z per step."""
    learning_rate: PositiveFloat = 0.02
    """Learning rate of Adam."""
    final_draws: AtLeastTwo = 100
    """Number of draws for the final ELBO of both posteriors, shared by both."""


class ElboStudyConfig(Strict):
    """Settings of all parts of the ELBO study."""

    ppca: PPCAConfig = PPCAConfig()
    gradients: GradientsConfig = GradientsConfig()
    decomposition: DecompositionConfig = DecompositionConfig()
    bounds: BoundsConfig = BoundsConfig()
    annealing: AnnealingConfig = AnnealingConfig()
    local: LocalConfig = LocalConfig()

    @model_validator(mode="after")
    def _same_images(self) -> ElboStudyConfig:
        if self.bounds.images != self.annealing.images:
            raise ValueError(
                f"bounds.images is {self.bounds.images} and annealing.images is "
                f"{self.annealing.images}, but one figure shows both; set them to the same number"
            )
        return self

    def problems(self, dimensions: int, images: int | None = None) -> list[str]:
        """Return why images of `dimensions` numbers each can't be studied; empty if they can.

        Args:
            images: number of training images; None assumes as many as the settings need.
        """
        limit = self.ppca.train_images
        images = limit if images is None else min(images, limit)
        return self._too_large(dimensions, images) or self._too_few(min(images - 1, dimensions))

    def _too_large(self, dimensions: int, images: int) -> list[str]:
        """Return which settings would take hours, or gigabytes of memory."""
        most = LARGEST_ARRAY // dimensions
        sizes = {"ppca.held_out": (self.ppca.held_out, most)}
        # The smaller of the covariance and the Gram matrix of the images is decomposed.
        fits = most if dimensions <= LARGEST_MATRIX else min(most, LARGEST_MATRIX)
        sizes["ppca.train_images"] = (images, fits)
        return [
            f"{key}: {number} images of {dimensions} numbers each are too many for probabilistic "
            f"PCA; take {limit} at most, or remove `elbo_study`"
            for key, (number, limit) in sizes.items()
            if number > limit
        ]

    def _too_few(self, rank: int) -> list[str]:
        """Return which settings need a covariance of the images of a higher rank."""
        latents = {
            "ppca.latent": self.ppca.latent,
            "gradients.latents": max(self.gradients.latents),
        }
        return [
            f"{key}: {latent} dimensions of z need images that differ in more than {latent} "
            f"directions, but these have {rank}; take fewer"
            for key, latent in latents.items()
            if latent >= rank
        ]


def read_elbo_study(path: Path) -> ElboStudyConfig:
    """Read the settings of the ELBO study from their own YAML file."""
    return build(ElboStudyConfig, read_yaml(path), path)
