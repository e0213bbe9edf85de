"""Scenes: one or two coloured digits on a coloured background, with captions.

A scene is a function of its split and its index. Its factors are drawn first, with uniform
probabilities. Then each digit is a handwritten one, cut out, scaled to its size, and painted as a
mask of its colour within a pixel of the middle of its place. Two digits have half of the picture
each; the first is the upper or the left one, so that a picture has only one description.

Each digit has a held-out colour that it never has in training and test (`HELD_OUT`). In every scene
of the split `unseen`, one digit has its held-out colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.config.sources.digits import DigitsConfig
from genlab.config.sources.scenes import (
    BACKGROUNDS,
    COLOURS,
    DIGITS,
    HELD_OUT,
    PAIRS,
    PLACES,
    SIZES,
    ScenesConfig,
)
from genlab.data.arrays import Source, Split
from genlab.data.randomness import generator
from genlab.data.sources import digits

SIDE = 32
JITTER = 1  # largest distance of a digit from the middle of its place, in pixels
LONGER_SIDE = {"small": 12, "large": 16}
RGB = {
    "black": (0, 0, 0),
    "blue": (25, 35, 130),
    "grey": (85, 85, 85),
    "brown": (95, 50, 15),
    "red": (255, 50, 40),
    "green": (50, 225, 60),
    "yellow": (255, 225, 30),
    "white": (255, 255, 255),
    "pink": (255, 120, 205),
}
BOXES = {  # left, top, right and bottom of the place of each digit, in pixels
    "centre": [(0, 0, 32, 32)],
    "top": [(0, 0, 32, 18)],
    "bottom": [(0, 14, 32, 32)],
    "left": [(0, 0, 18, 32)],
    "right": [(14, 0, 32, 32)],
    "vertical": [(0, 0, 32, 16), (0, 16, 32, 32)],
    "horizontal": [(0, 0, 16, 32), (16, 0, 32, 32)],
}
WHERE = {
    "centre": "in the centre",
    "top": "at the top",
    "bottom": "at the bottom",
    "left": "on the left",
    "right": "on the right",
}
BESIDE = {"vertical": ("above", "below"), "horizontal": ("left of", "right of")}


class Thing(NamedTuple):
    """A digit of a scene, by the names of its factors' values."""

    digit: str
    colour: str
    size: str


class Scene(NamedTuple):
    """A scene by the names of its factors' values, with one digit or two."""

    background: str
    layout: str
    things: list[Thing]

    @property
    def factors(self) -> list[int]:
        """Indices of the factors' values, in the order of `ScenesConfig.values`."""
        things = [
            index
            for thing in self.things
            for index in (
                DIGITS.index(thing.digit),
                COLOURS.index(thing.colour),
                SIZES.index(thing.size),
            )
        ]
        none = [len(DIGITS), len(COLOURS), len(SIZES)] if len(self.things) == 1 else []
        layout = (PLACES + PAIRS).index(self.layout)
        return [BACKGROUNDS.index(self.background), layout, *things, *none]

    @property
    def captions(self) -> list[str]:
        """Four captions: complete, reordered, terse, and without sizes and places."""
        ground = f"on a {self.background} background"
        names = [f"{thing.size} {thing.colour} {thing.digit}" for thing in self.things]
        short = " and ".join(f"a {thing.colour} {thing.digit}" for thing in self.things)
        if len(self.things) == 1:
            (name,), where = names, WHERE[self.layout]
            return [
                f"a {name} {where} {ground}",
                f"{ground}, a {name} {where}",
                f"{self.background} background: {name}, {self.layout}",
                f"{short} {ground}",
            ]
        (first, second), (this, that) = names, BESIDE[self.layout]
        return [
            f"a {first} {this} a {second} {ground}",
            f"a {second} {that} a {first} {ground}",
            f"{self.background} background: {first} {this} {second}",
            f"{short} {ground}",
        ]


def draw_scene(random: np.random.Generator, unseen: bool) -> Scene:
    """Draw the factors of a scene; one digit has its held-out colour if `unseen`, else none."""

    def one_of(values: tuple[str, ...]) -> str:
        return values[random.integers(len(values))]

    background = one_of(BACKGROUNDS)
    layout = one_of((PLACES, PAIRS)[random.integers(2)])
    things = []
    held_out = random.integers(len(BOXES[layout])) if unseen else None
    for i in range(len(BOXES[layout])):
        digit = one_of(DIGITS)
        others = tuple(colour for colour in COLOURS if colour != HELD_OUT[digit])
        colour = HELD_OUT[digit] if i == held_out else one_of(others)
        things.append(Thing(digit, colour, one_of(SIZES)))
    return Scene(background, layout, things)


def cut_out(digit: NDArray[np.uint8], longer_side: int) -> NDArray[np.float64]:
    """Crop the digit [H, W] to its bounding box and scale it.

    Returns:
        Values in [0, 1], [h, w] with max(h, w) = longer_side.
    """
    rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
    picture = Image.fromarray(digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = longer_side / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    scaled = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS)) / 255
    return np.asarray(scaled / scaled.max())  # keeps thin strokes bright


def paint(
    scene: Scene, shapes: list[NDArray[np.uint8]], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Paint a scene, uint8 [3, 32, 32].

    Args:
        shapes: a handwritten digit [H, W] for each thing of the scene.
    """
    picture = np.full((SIDE, SIDE, 3), RGB[scene.background], dtype=np.float64)
    for thing, shape, box in zip(scene.things, shapes, BOXES[scene.layout], strict=True):
        mask = cut_out(shape, LONGER_SIDE[thing.size])
        size, low, high = np.array(mask.shape[::-1]), np.array(box[:2]), np.array(box[2:])
        middle = (low + high - size) // 2 + random.integers(-JITTER, JITTER + 1, 2)
        x, y = middle.clip(low, high - size)
        under = picture[y : y + size[1], x : x + size[0]]
        under += mask[..., None] * (np.array(RGB[thing.colour]) - under)
    return picture.round().astype(np.uint8).transpose(2, 0, 1)


def make_split(name: str, scenes: int, handwritten: Split) -> Split:
    """Make the first `scenes` scenes of a split from the handwritten digits of another one."""
    by_digit = {
        digit: handwritten.images[handwritten.labels == k, 0] for k, digit in enumerate(DIGITS)
    }
    images = np.empty((scenes, 3, SIDE, SIDE), np.uint8)
    factors, captions = [], []
    for i in range(scenes):
        random = generator("scenes", name, i)
        scene = draw_scene(random, unseen=name == "unseen")
        shapes = []
        for thing in scene.things:
            candidates = by_digit[thing.digit]
            shapes.append(candidates[random.integers(len(candidates))])
        images[i] = paint(scene, shapes, random)
        factors.append(scene.factors)
        captions.append(scene.captions)
    columns = np.array(factors, dtype=np.int64)
    label = list(ScenesConfig().values).index("digit")
    return Split(images, columns[:, label], columns, captions)


def fetch(config: ScenesConfig, raw: Path) -> list[Path]:
    """Return the file of the embedded digits, which the scenes are made of."""
    return digits.fetch(DigitsConfig(), raw)


def read(config: ScenesConfig, files: list[Path]) -> Source:
    """Make training scenes of training digits; test and unseen scenes of held-out digits.

    The label of an image is its first digit.
    """
    source = digits.read(DigitsConfig(), files)
    return Source(
        make_split("train", config.train, source.train),
        make_split("test", config.test, source.test),
        source.classes,
        make_split("unseen", config.unseen, source.test),
    )
