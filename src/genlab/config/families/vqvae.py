"""Hyperparameters of the vector-quantised autoencoder (`genlab.models.vqvae`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt

from genlab.config.families import FamilyConfig


class VQVAEConfig(FamilyConfig):
    """A convolutional autoencoder whose latent is a grid of codes."""

    family: Literal["vqvae"] = "vqvae"
    likelihood: Literal["gaussian", "logistic"] = "logistic"
    """p(x|codes): 'gaussian' with one learned variance for all pixels, or the discretised
    'logistic' with a scale of its own for each pixel."""
    codes: Annotated[int, Field(ge=2)] = 128
    """K, the vectors of the codebook."""
    latent: PositiveInt = 32
    """D, the numbers of a code's vector."""
    channels: PositiveInt = 32
    """Channels of the first convolution; twice as many below it."""
    levels: PositiveInt = 2
    """How often the side is halved; the grid of codes has side / 2**levels on each side."""
    blocks: PositiveInt = 1
    """Residual blocks at the side of the grid, in the encoder and in the decoder."""
    commitment: Annotated[float, Field(ge=0)] = 0.25
    """Weight of |z - sg(e)|^2, which keeps the encoder near its codes."""
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Of the codebook's moving averages."""
    restart_below: Annotated[float, Field(ge=0)] = 2.0
    """A code that fewer vectors of a batch fall to, in the moving average, starts again as one of
    them; 0 never does."""

    implementation: ClassVar[str] = "genlab.models.vqvae:VQVAE"
    generates: ClassVar[Literal["nothing"]] = "nothing"
    reconstructs: ClassVar[bool] = True

    @property
    def variant(self) -> str:
        return f"{self.codes} codes, side / {2**self.levels}, {self.likelihood}"

    @property
    def no_likelihood(self) -> str:
        return "no prior over its codes"

    def problems(self, channels: int, size: int) -> list[str]:
        divisor = 2**self.levels
        if size % divisor:
            return [
                f"levels: {self.levels} need an image side divisible by {divisor}, but it is {size}"
            ]
        return []
