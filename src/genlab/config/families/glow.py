"""Hyperparameters of Glow and of RealNVP (`genlab.models.glow`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.base import Depth, Width
from genlab.config.families import DensityKind, FamilyConfig

LARGEST_MIX = 2048
"""Channels of the largest 1x1 convolution: 4 million parameters in each step, and a factorisation
for each draw."""


class GlowConfig(FamilyConfig):
    """A normalising flow on several scales, with an exact density."""

    family: Literal["glow"] = "glow"
    coupling: Literal["glow", "realnvp"] = "glow"
    """'glow': invertible 1x1 convolutions and couplings of channels; 'realnvp': fixed
    checkerboard and channel masks."""
    steps: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=10)] = (2, 4)
    """Of flow in each level, from fine to coarse; there are as many levels as numbers. A level
    halves the image's side; at its end half of the channels leave the flow. A step: normalise,
    mix, couple."""
    hidden: Width = 32
    """Channels inside the couplings of the first level, doubled in every next one."""
    global_steps: Annotated[int, Field(ge=0, le=256)] = 6
    """Steps of a last level whose couplings see the whole image at once: all that is left lies in
    the channels of one pixel. 0 leaves it out, as both papers do."""
    global_hidden: Width = 256
    """Channels inside the couplings of that level."""
    margin: Annotated[float, Field(ge=0, lt=0.5)] = 1e-6
    """Pixels y on [0, 1) become logit(margin + (1 - 2 margin) y). A larger margin pushes black
    and white less far apart; 0 leaves them on [-1/2, 1/2) as they are."""
    pad: bool = True
    """Whether an image may be padded until its side can be halved in every level. Padding has no
    part in the density."""

    implementation: ClassVar[str] = "genlab.models.glow:Glow"
    tempered: ClassVar[bool] = True
    encodes: ClassVar[bool] = True

    @property
    def variant(self) -> str:
        kind = {"glow": "affine coupling, 1x1 convolutions", "realnvp": "RealNVP coupling"}
        return kind[self.coupling]

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        return ("exact",)

    def problems(self, channels: int, size: int) -> list[str]:
        levels = len(self.steps)
        if size % 2**levels and not self.pad:
            return [
                f"pad: the image side {size} can't be divided by {2**levels}, that is, halved in "
                f"each of {levels} levels; allow padding with pad: true, or take steps of fewer"
            ]
        # A level folds 2 x 2 pixels into channels and lets half of them leave.
        left = channels * (-(-size // 2**levels) * 2**levels) ** 2 // 2**levels
        if self.coupling == "glow" and self.global_steps and left > LARGEST_MIX:
            return [
                f"global_steps: the {levels} levels of `steps` leave {left} of an image's numbers, "
                f"which each global step mixes by a matrix of {left} x {left}; take more levels "
                f"(each halves that; {LARGEST_MIX} at most), or global_steps: 0"
            ]
        return []
