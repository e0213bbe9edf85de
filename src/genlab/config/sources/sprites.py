"""Synthetic shapes in every combination of five known factors."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from genlab.config.sources import LabelledConfig

SPRITES = ("square", "ellipse", "heart")


class SpritesConfig(LabelledConfig):
    """White shapes on black in every combination of shape, scale, rotation, x and y."""

    source: Literal["sprites"] = "sprites"
    size: Annotated[int, Field(ge=24, le=128)] = 32
    """Side of the square image in pixels."""
    scales: Annotated[int, Field(ge=2, le=8)] = 4
    """Number of values of the factor `scale`, from half size to full size."""
    rotations: Annotated[int, Field(ge=2, le=16)] = 8
    """Number of values of the factor `rotation`, within a quarter turn."""
    positions: Annotated[int, Field(ge=2, le=16)] = 8
    """Number of values of each of the factors `x` and `y`."""
    every: Annotated[int, Field(ge=2, le=10)] = 5
    """One image in `every` is held out at random, the same number of each shape."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, self.size, self.size)

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Names of the shapes, which are the classes; values of other factors are numbers."""
        numbers = {
            "scale": self.scales,
            "rotation": self.rotations,
            "x": self.positions,
            "y": self.positions,
        }
        return {
            "shape": SPRITES,
            **{name: tuple(map(str, range(n))) for name, n in numbers.items()},
        }

    @property
    def described(self) -> tuple[str, ...]:
        return ("shape",)

    @property
    def class_count(self) -> int:
        return len(SPRITES)

    @property
    def train_count(self) -> int:
        return math.prod(self.factors.values()) - self.held_out

    @property
    def held_out(self) -> int:
        shapes, *others = self.factors.values()
        return shapes * (math.prod(others) // self.every)
