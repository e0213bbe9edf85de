"""Hyperparameters of CLIP (`genlab.models.clip`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from genlab.config.base import Depth, Width
from genlab.config.families import FamilyConfig
from genlab.config.networks import check_heads


class CLIPConfig(FamilyConfig):
    """Contrastive learning of images and captions: scores how well an image fits a caption."""

    family: Literal["clip"] = "clip"
    embedding: Width = 64
    """Dimensions of the common space of images and captions."""
    channels: Width = 32
    """Channels of the image encoder's first convolution; the last one has four times as many."""
    features: Width = 128
    """Dimensions of the image encoder's last layer."""
    width: Width = 64
    """Channels of the text encoder."""
    layers: Depth = 2
    """Number of transformer blocks of the text encoder."""
    heads: Width = 4
    """Number of attention heads of the text encoder; must divide `width`."""

    implementation: ClassVar[str] = "genlab.models.clip:CLIP"
    generates: ClassVar[Literal["nothing"]] = "nothing"

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> CLIPConfig:
        check_heads(self.width, self.heads)
        return self

    @property
    def reads_captions(self) -> bool:
        return True

    @property
    def needs_whole_batch(self) -> str:
        return "it compares each caption with all images of the batch"
