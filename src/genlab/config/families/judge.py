"""Hyperparameters of the judge (`genlab.models.judge`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.base import Width
from genlab.config.families import FamilyConfig


class JudgeConfig(FamilyConfig):
    """A classifier of every factor of an image; checks whether an image shows its prompt."""

    family: Literal["judge"] = "judge"
    channels: Width = 32
    """Channels of the first convolution; the last one has four times as many."""
    features: Width = 128
    """Dimensions of the layer before the logits."""

    implementation: ClassVar[str] = "genlab.models.judge:Judge"
    generates: ClassVar[Literal["nothing"]] = "nothing"
    knows_factors: ClassVar[bool] = True
