"""Hyperparameters of the contrastive encoder (`genlab.models.contrastive`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.base import Width
from genlab.config.families import FamilyConfig


class ContrastiveConfig(FamilyConfig):
    """An encoder that is trained without labels, whose features evaluate generated images."""

    family: Literal["contrastive"] = "contrastive"
    channels: Width = 24
    """Channels of the first convolution; the last one has four times as many."""
    features: Width = 64
    """Dimensions of the layer before the projection head, in which images are compared."""
    projection: Width = 32
    """Dimensions of the projection, which only the loss sees."""
    temperature: Annotated[float, Field(gt=0)] = 0.2
    """tau of the loss: the smaller, the more the hardest negatives count."""

    implementation: ClassVar[str] = "genlab.models.contrastive:Contrastive"
    generates: ClassVar[Literal["nothing"]] = "nothing"

    @property
    def needs_whole_batch(self) -> str:
        return "it compares each image with all others of the batch"
