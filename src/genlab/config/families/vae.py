"""Hyperparameters of the variational autoencoder (`genlab.models.vae`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveInt

from genlab.config.families import FamilyConfig


class VAEConfig(FamilyConfig):
    """A convolutional VAE with a Gaussian posterior and a standard normal prior."""

    family: Literal["vae"] = "vae"
    likelihood: Literal["bernoulli", "gaussian"] = "gaussian"
    """p(x|z): 'bernoulli' (grey images in [0, 1] as probabilities), or 'gaussian' with one
    learned variance for all pixels. It changes every figure: say it in the model's name."""
    latent: PositiveInt = 16
    """Dimensions of z."""
    channels: PositiveInt = 32
    """Channels of the first convolution; doubled when the side is halved, twice."""

    implementation: ClassVar[str] = "genlab.models.vae:VAE"
    generates: ClassVar[Literal["direct"]] = "direct"
    reconstructs: ClassVar[bool] = True

    def problems(self, channels: int, size: int) -> list[str]:
        found = []
        if size % 4:
            found.append(f"the image side must be divisible by 4, but it is {size}")
        if self.likelihood == "bernoulli" and channels != 1:
            found.append(
                f"likelihood: bernoulli needs grey images, but these have {channels} channels; "
                "use likelihood: gaussian"
            )
        return found
