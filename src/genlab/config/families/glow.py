"""Hyperparameters of Glow and of RealNVP (`genlab.models.glow`)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from genlab.config.base import Depth, Width
from genlab.config.families import DensityKind, FamilyConfig

LARGEST_MIX = 2048
"""Channels of the largest 1x1 convolution: 4 million parameters in each step, and a factorisation
for each batch of samples."""


class GlowConfig(FamilyConfig):
    """A normalising flow on several scales, with an exact density."""

    family: Literal["glow"] = "glow"
    coupling: Literal["glow", "realnvp"] = "glow"
    """'glow': invertible 1x1 convolutions and couplings of channels; 'realnvp': fixed
    checkerboard and channel masks."""
    steps: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=10)] = (2, 4)
    """Steps of flow in each level, from fine to coarse, one number for each level. A level halves
    the image's side; at its end half of the channels leave the flow. A step is ActNorm, 1x1
    convolution and coupling."""
    hidden: Width = 32
    """Channels inside the couplings of the first level; doubled in each following level."""
    global_steps: Annotated[int, Field(ge=0, le=256)] = 6
    """Steps of an additional last level, in which all remaining values are channels of one pixel:
    its couplings act on the whole image. 0 leaves it out, as in both papers."""
    global_hidden: Width = 256
    """Channels inside the couplings of that level."""
    margin: Annotated[float, Field(ge=0, lt=0.5)] = 1e-6
    """Pixels y on [0, 1) become logit(margin + (1 - 2 margin) y). With a larger margin black and
    white are closer to each other; 0 shifts pixels to [-1/2, 1/2) without a logit."""
    pad: bool = True
    """Whether images may be padded so that their side can be halved in every level. Padding does
    not affect the density."""

    implementation: ClassVar[str] = "genlab.models.glow:Glow"
    group: ClassVar[str] = "normalizing flow"
    tempered: ClassVar[bool] = True
    encodes: ClassVar[bool] = True

    @property
    def variant(self) -> str:
        kind = {"glow": "affine coupling, 1x1 convolutions", "realnvp": "RealNVP coupling"}
        return kind[self.coupling]

    @property
    def default_samplers(self) -> dict[str, dict[str, Any]]:
        # 0.7 is the temperature of the paper's figures.
        return super().default_samplers | {"prior-t0.7": {"sampler": "prior", "temperature": 0.7}}

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        return ("exact",)

    def problems(self, channels: int, size: int) -> list[str]:
        levels = len(self.steps)
        if size % 2**levels and not self.pad:
            return [
                f"pad: the image side {size} is not divisible by {2**levels}, so it can't be "
                f"halved in each of {levels} levels; set pad: true, or use fewer levels in steps"
            ]
        # A level folds 2 x 2 pixels into channels and lets half of them leave.
        left = channels * (-(-size // 2**levels) * 2**levels) ** 2 // 2**levels
        if self.coupling == "glow" and self.global_steps and left > LARGEST_MIX:
            return [
                f"global_steps: the {levels} levels of `steps` leave {left} values of an image, so "
                f"each global step needs a matrix of {left} x {left}; use more levels (each halves "
                f"the number; at most {LARGEST_MIX}), or global_steps: 0"
            ]
        return []

    @property
    def needs_whole_batch(self) -> str:
        return "its first batch sets the scales of its layers"
