"""Hyperparameters of the denoising autoencoder (`genlab.models.autoencoder_latent`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.base import Width
from genlab.config.families import FamilyConfig


class AutoencoderLatentConfig(FamilyConfig):
    """A denoising autoencoder that no model builds on: its latent evaluates generated images."""

    family: Literal["autoencoder_latent"] = "autoencoder_latent"
    latent: Width = 32
    """Dimensions of the latent, in which images are compared."""
    channels: Width = 16
    """Channels of the first convolution; the last one has four times as many."""
    hidden: Width = 256
    """Width of the fully connected layers before and after the latent."""
    masked: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of the pixels that are set to black before an image is encoded in training."""

    implementation: ClassVar[str] = "genlab.models.autoencoder_latent:DenoisingAutoencoder"
    generates: ClassVar[Literal["nothing"]] = "nothing"
