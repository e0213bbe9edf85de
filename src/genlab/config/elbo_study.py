"""Sizes of the ELBO laboratory (`genlab.evaluation.elbo`).

The defaults take half a minute for a VAE of 28 x 28 images on one core, and a few seconds for the
part that needs no network.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from genlab.config.base import Strict, build, read_yaml

LARGEST_MATRIX = 4096
"""Rows of the largest matrix whose eigenvalues are asked for: some 15 seconds on one core."""
LARGEST_ARRAY = 2**27
"""Numbers of the largest array of images: 1 GiB in float64."""

AtLeastTwo = Annotated[int, Field(ge=2)]
"""A number of draws whose spread is measured as well."""


class BoundsConfig(Strict):
    """IWAE-K for several K, from one set of importance samples for each image."""

    images: PositiveInt = 16
    """Held-out images, spread over the whole set at random."""
    samples: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1000,
    )  # fmt: skip
    """The values of K, rising."""
    draws: AtLeastTwo = 2000
    """Importance samples an image; at least twice the largest K, or it would have no error."""

    @model_validator(mode="after")
    def _an_error_for_every_k(self) -> BoundsConfig:
        if any(b <= a for a, b in pairwise(self.samples)):
            raise ValueError(f"samples: must rise from one K to the next, not {self.samples}")
        if self.draws < 2 * self.samples[-1]:
            raise ValueError(
                f"draws: {self.draws} is too few: the error of K = {self.samples[-1]} needs two "
                f"groups of that many, {2 * self.samples[-1]} draws; or leave out the largest K"
            )
        return self


class PPCAConfig(Strict):
    """Probabilistic PCA, and what is wrong with the posteriors it is asked to bear."""

    latent: PositiveInt = 16
    """Dimensions of z; fewer than pixels."""
    train_images: AtLeastTwo = 10_000
    """Training images it is fitted to at most."""
    held_out: AtLeastTwo = 1000
    """Held-out images that log p(x) is averaged over, at most."""
    shift: PositiveFloat = 0.5
    """How far the shifted posterior lies from the exact one, in its standard deviations."""
    widen: Annotated[float, Field(gt=1)] = 1.5
    """By how much the widened posterior's standard deviation is too large."""
    bounds: BoundsConfig = BoundsConfig(
        samples=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000), draws=50_000
    )


class GradientsConfig(Strict):
    """The spread of the ELBO's gradient estimators on probabilistic PCA."""

    latents: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 4, 8, 16, 32)
    """The dimensions of z to compare."""
    samples: AtLeastTwo = 8
    """Draws behind one estimate; the baseline of each is the mean of the others."""
    estimates: AtLeastTwo = 2000
    """Independent estimates that the variance is measured on."""


class DecompositionConfig(Strict):
    """The mean KL, taken apart against the aggregate posterior."""

    images: AtLeastTwo = 1000
    """Held-out images whose posteriors make up the aggregate (all, where there are fewer). The
    mutual information can't exceed the logarithm of this number. Time grows with its square."""
    draws: AtLeastTwo = 2
    """Draws of z from the posterior of each image."""


class AnnealingConfig(Strict):
    """Annealed importance sampling by Hamiltonian Monte Carlo, and its two-sided check."""

    start: Literal["local", "prior"] = "local"
    """Where the path to p(x, z) begins: at the Gaussian that `local` fits to each image, or at
    p(z), which is farther off and needs many more temperatures."""
    images: AtLeastTwo = 16
    """Held-out images; the same as those of the IWAE curve, as far as there are."""
    simulated: AtLeastTwo = 10
    """Images drawn from the model, bounded from both sides."""
    chains: AtLeastTwo = 3
    """Chains an image, each way."""
    temperatures: AtLeastTwo = 60
    """Steps from the one end of the path to the other."""
    leapfrog: PositiveInt = 4
    """Leapfrog steps of a transition, one gradient of the decoder each."""


class LocalConfig(Strict):
    """A posterior optimised for each image by itself: where annealing starts, and what tells the
    gap's two parts apart.
    """

    steps: NonNegativeInt = 60
    """Steps of Adam on every image's own mu and logvar; 0 leaves it at the encoder's."""
    draws: AtLeastTwo = 4
    """Draws of z a step."""
    learning_rate: PositiveFloat = 0.02
    final_draws: AtLeastTwo = 100
    """Draws that both posteriors are judged by in the end, the same for both."""


class LaboratoryConfig(Strict):
    """What the ELBO laboratory spends on each of its parts."""

    ppca: PPCAConfig = PPCAConfig()
    gradients: GradientsConfig = GradientsConfig()
    decomposition: DecompositionConfig = DecompositionConfig()
    bounds: BoundsConfig = BoundsConfig()
    annealing: AnnealingConfig = AnnealingConfig()
    local: LocalConfig = LocalConfig()

    @model_validator(mode="after")
    def _one_figure_one_set_of_images(self) -> LaboratoryConfig:
        if self.bounds.images != self.annealing.images:
            raise ValueError(
                f"bounds.images {self.bounds.images} and annealing.images {self.annealing.images} "
                "must be the same: one figure shows both"
            )
        return self

    def problems(self, dimensions: int, images: int | None = None) -> list[str]:
        """What stands against images of so many numbers each; empty if nothing.

        Args:
            images: those there are to train on; None where only the config is known, and there may
                be as many as it asks for.
        """
        asked = self.ppca.train_images
        images = asked if images is None else min(images, asked)
        return self._too_large(dimensions, images) or self._too_few(min(images - 1, dimensions))

    def _too_large(self, dimensions: int, images: int) -> list[str]:
        """Where probabilistic PCA would take hours, or more memory than there is."""
        most = LARGEST_ARRAY // dimensions
        sizes = {"ppca.held_out": (self.ppca.held_out, most)}
        # The smaller of the covariance and the matrix of the images' inner products is taken.
        fits = most if dimensions <= LARGEST_MATRIX else min(most, LARGEST_MATRIX)
        sizes["ppca.train_images"] = (images, fits)
        return [
            f"{key}: {found} images of {dimensions} numbers each are too many for probabilistic "
            f"PCA; ask for {limit} at most, or leave the laboratory out"
            for key, (found, limit) in sizes.items()
            if found > limit
        ]

    def _too_few(self, rank: int) -> list[str]:
        """Where images have too few dimensions, their covariance being of this rank."""
        wanted = {"ppca.latent": self.ppca.latent, "gradients.latents": max(self.gradients.latents)}
        return [
            f"{key}: {latent} dimensions of z need more than {latent} directions in which the "
            f"images differ, but they have {rank}; ask for fewer"
            for key, latent in wanted.items()
            if latent >= rank
        ]


def read_laboratory(path: Path) -> LaboratoryConfig:
    """The laboratory's configuration, from its own YAML file."""
    return build(LaboratoryConfig, read_yaml(path), path)
