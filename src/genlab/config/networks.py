"""Sizes of the networks that several families share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from genlab.config.base import Strict


class UNetConfig(Strict):
    """The U-Net of the diffusion families (`genlab.nn.unet`)."""

    channels: Annotated[int, Field(ge=4, multiple_of=4)] = 32
    """Channels at the finest level; the other levels have `channels * multiplier`."""
    multipliers: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 2, 2)
    """One level of resolution each, from fine to coarse; each level halves the side."""
    blocks: PositiveInt = 1
    """Residual blocks a level on the way down; the way up has one more."""
    attention: tuple[int, ...] = (2,)
    """The levels (0 is the finest) that have self-attention; if any, the middle has it as well."""
    head_channels: PositiveInt = 32
    """Channels of one attention head."""
    patch: PositiveInt = 1
    """Fold patches of this side into channels first; 2 is nearly four times faster on a CPU."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @property
    def divisor(self) -> int:
        """Height and width must be divisible by this."""
        divisor: int = self.patch * 2 ** (len(self.multipliers) - 1)
        return divisor
