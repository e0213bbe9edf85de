"""Sizes of the networks that several families share."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from genlab.config.base import DEFAULT_BACKBONE, Depth, Strict, Width, build, pick
from genlab.errors import shown


def check_heads(width: int, heads: int, names: tuple[str, str] = ("width", "heads")) -> None:
    """Refuse a number of attention heads that does not divide the width; `names` are the keys.

    Raises:
        ValueError: it does not.
    """
    if width % heads:
        raise ValueError(f"{names[1]}: {heads} must divide {names[0]} {width}")


class UNetConfig(Strict):
    """The U-Net of the diffusion families (`genlab.nn.unet`)."""

    backbone: Literal["unet"] = "unet"
    channels: Annotated[Width, Field(ge=4, multiple_of=4)] = 32
    """Channels at the finest level; the other levels have `channels * multiplier`."""
    multipliers: Annotated[tuple[Depth, ...], Field(min_length=1, max_length=10)] = (1, 2, 2)
    """Channel multipliers of the levels, from fine to coarse; each level halves the side."""
    blocks: Depth = 1
    """Residual blocks a level in the downsampling half; the upsampling half has one more."""
    attention: tuple[Annotated[int, Field(ge=0, le=9)], ...] = (2,)
    """Levels with self-attention, 0 is the finest; the middle always has it."""
    head_channels: Width = 32
    """Channels of one attention head."""
    patch: Depth = 1
    """Side of the patches folded into channels first; 2 is nearly four times faster on a CPU."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout rate in the residual blocks."""

    divisor_of: ClassVar[str] = "patch x 2 for every level after the first: multipliers, patch"

    @property
    def divisor(self) -> int:
        """Height and width must be divisible by this."""
        divisor: int = self.patch * 2 ** (len(self.multipliers) - 1)
        return divisor


class DiTConfig(Strict):
    """The diffusion transformer (`genlab.nn.dit`)."""

    backbone: Literal["dit"]
    width: Width = 96
    """Channels of a token; must be a multiple of 4, for the positions' sines, and of `heads`."""
    depth: Depth = 4
    """Transformer blocks."""
    heads: Width = 3
    """Number of attention heads; must divide `width`."""
    mlp: Annotated[float, Field(gt=0, le=64)] = 4.0
    """Hidden channels of the feed-forward layers, as a multiple of the width."""
    patch: Depth = 2
    """Side of the square of pixels of a token."""
    convolution: bool = False
    """Add a convolution over neighbouring tokens to the feed-forward layers; not in the paper."""

    divisor_of: ClassVar[str] = "patch"

    @property
    def divisor(self) -> int:
        """Height and width must be divisible by this."""
        return self.patch

    @model_validator(mode="after")
    def _divides(self) -> DiTConfig:
        if self.width % 4:
            raise ValueError(f"width: {self.width} must be divisible by 4")
        check_heads(self.width, self.heads)
        return self


BACKBONES: dict[str, type[UNetConfig | DiTConfig]] = {"unet": UNetConfig, "dit": DiTConfig}


def _by_backbone(values: Any) -> Any:
    """Build the network of a mapping by its `backbone:`, or the default one."""
    if isinstance(values, UNetConfig | DiTConfig):
        return values
    if not isinstance(values, dict):
        raise ValueError(f"expected a mapping such as {{channels: 32}}, got {shown(values)}")
    kind = pick(BACKBONES, "backbone", {"backbone": DEFAULT_BACKBONE, **values}, "network")
    return build(kind, values, "network")


NetworkConfig = Annotated[UNetConfig | DiTConfig, BeforeValidator(_by_backbone)]
"""The network of a diffusion family, chosen by `backbone:`."""
