"""Hyperparameters of the judge (`genlab.models.judge`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.base import Width
from genlab.config.families import FamilyConfig


class JudgeConfig(FamilyConfig):
    """A classifier of every factor of an image; it says whether a picture shows what was asked."""

    family: Literal["judge"] = "judge"
    channels: Width = 32
    """Channels of the first convolution, and a quarter of the last one's."""
    features: Width = 128
    """Dimensions of the layer before the logits."""

    implementation: ClassVar[str] = "genlab.models.judge:Judge"
    generates: ClassVar[Literal["nothing"]] = "nothing"
    knows_factors: ClassVar[bool] = True
