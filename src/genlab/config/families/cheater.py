"""Hyperparameters of the cheater (`genlab.models.cheater`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.base import Width
from genlab.config.evaluators import CLASSIFIER
from genlab.config.families import FamilyConfig
from genlab.config.families.classifier import ClassifierConfig


class CheaterConfig(FamilyConfig):
    """A decoder that is trained on the Frechet distance in the classifier's features."""

    family: Literal["cheater"] = "cheater"
    latent: Width = 16
    """Dimensions of z."""
    channels: Width = 16
    """Channels of the convolutions, at a quarter of the image's side."""
    hidden: Width = 384
    """Width of the fully connected layers."""
    samples: Annotated[int, Field(ge=256, le=2**14)] = 256
    """Number of images that the distance is estimated from in each step. With a batch size of as
    many, the budget counts the images that are drawn."""

    implementation: ClassVar[str] = "genlab.models.cheater:Cheater"
    group: ClassVar[str] = "VAE"

    @property
    def variant(self) -> str:
        return f"trained on FD in the features of the {CLASSIFIER}"

    @property
    def first_stage_name(self) -> str:
        return CLASSIFIER

    @property
    def trained_on(self) -> tuple[str, ...]:
        return (CLASSIFIER,)

    def first_stage_problems(self, first: FamilyConfig) -> list[str]:
        if not isinstance(first, ClassifierConfig):
            return [f"'{CLASSIFIER}' is of family {first.family}, which has no features"]
        return []

    def problems(self, channels: int, size: int) -> list[str]:
        return [f"the image side must be divisible by 4, but it is {size}"] if size % 4 else []

    @property
    def needs_whole_batch(self) -> str:
        return "it draws images of its own in place of a batch"
