"""Settings that convolutional autoencoders share."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.base import Depth, Halvings, Width
from genlab.config.families import FamilyConfig


class AutoencoderConfig(FamilyConfig):
    """An autoencoder whose latent is a grid (`genlab.models.autoencoder`)."""

    likelihood: Literal["gaussian", "logistic"] = "logistic"
    """p(x|z): 'gaussian' with one learned variance for all pixels, or the discretised 'logistic'
    with a predicted scale for each pixel."""
    latent: Width = 32
    """Channels of the latent grid."""
    channels: Width = 32
    """Channels of the first convolution; the following ones have twice as many."""
    levels: Halvings = 2
    """Number of times the side is halved; the grid's side is side / 2**levels."""
    blocks: Depth = 1
    """Residual blocks on the grid, in the encoder and in the decoder."""

    generates: ClassVar[Literal["nothing"]] = "nothing"
    reconstructs: ClassVar[bool] = True

    @property
    def shrinks(self) -> int:
        shrinks: int = 2**self.levels
        return shrinks

    def problems(self, channels: int, size: int) -> list[str]:
        if size % self.shrinks:
            return [
                f"levels: {self.levels} need an image side divisible by {self.shrinks}, but it is "
                f"{size}"
            ]
        return []
