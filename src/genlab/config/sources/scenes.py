"""Scenes of one or two coloured digits, with captions."""

from __future__ import annotations

from typing import Literal

from genlab.config.base import Images
from genlab.config.sources import DatasetConfig

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BACKGROUNDS = ("black", "blue", "grey", "brown")
PLACES = ("centre", "top", "bottom", "left", "right")
"""Places of a single digit."""
PAIRS = ("vertical", "horizontal")
"""Arrangements of two digits."""
COLOURS = ("red", "green", "yellow", "white", "pink")
SIZES = ("small", "large")
HELD_OUT = {
    "zero": "red",
    "one": "green",
    "two": "yellow",
    "three": "white",
    "four": "pink",
    "five": "red",
    "six": "green",
    "seven": "yellow",
    "eight": "white",
    "nine": "pink",
}
"""Colour that each digit has in the split `unseen` only. Each colour is held out for two digits."""


class ScenesConfig(DatasetConfig):
    """RGB scenes of 32 x 32 pixels: one or two coloured digits on a coloured background."""

    source: Literal["scenes"] = "scenes"
    train: Images = 20_000
    """Number of training scenes."""
    test: Images = 2_000
    """Number of held-out scenes with the same combinations of digit and colour."""
    unseen: Images = 1_000
    """Number of scenes with a combination of digit and colour that training and test lack."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, 32, 32)

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Names of the values; of two digits, the upper or the left one is the first."""
        return {
            "background": BACKGROUNDS,
            "layout": PLACES + PAIRS,
            "digit": DIGITS,
            "colour": COLOURS,
            "size": SIZES,
            "second digit": (*DIGITS, "none"),
            "second colour": (*COLOURS, "none"),
            "second size": (*SIZES, "none"),
        }

    @property
    def subject(self) -> tuple[str, ...]:
        return ("digit", "colour", "second digit", "second colour")

    @property
    def train_count(self) -> int:
        return self.train

    @property
    def held_out(self) -> int:
        return self.test
