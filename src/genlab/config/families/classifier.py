"""Hyperparameters of the domain classifier (`genlab.models.classifier`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.base import Width
from genlab.config.families import FamilyConfig


class ClassifierConfig(FamilyConfig):
    """A small convolutional classifier whose features are used to evaluate generated images."""

    family: Literal["classifier"] = "classifier"
    channels: Width = 32
    """Channels of the first convolution; doubled whenever the side is halved."""
    features: Width = 64
    """Dimensions of the layer before the logits, in which Frechet distances are computed."""

    implementation: ClassVar[str] = "genlab.models.classifier:Classifier"
    generates: ClassVar[Literal["nothing"]] = "nothing"
