"""Hyperparameters of CLIP (`genlab.models.clip`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from genlab.config.base import Depth, Width
from genlab.config.families import FamilyConfig


class CLIPConfig(FamilyConfig):
    """Contrastive learning of images and captions: how well a picture fits a sentence."""

    family: Literal["clip"] = "clip"
    embedding: Width = 64
    """Dimensions of the space that images and captions share."""
    channels: Width = 32
    """Channels of the image encoder's first convolution, and a quarter of its last one's."""
    features: Width = 128
    """Dimensions of the image encoder's last layer."""
    width: Width = 64
    """Channels of the text encoder."""
    layers: Depth = 2
    heads: Width = 4
    """Of the text encoder's attention; they share the width evenly."""

    implementation: ClassVar[str] = "genlab.models.clip:CLIP"
    generates: ClassVar[Literal["nothing"]] = "nothing"

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> CLIPConfig:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} don't divide the width {self.width}")
        return self

    @property
    def reads_captions(self) -> bool:
        return True
