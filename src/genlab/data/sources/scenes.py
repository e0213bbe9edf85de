"""Scenes: one or two coloured digits on a coloured ground, and what is said of them.

A scene is a function of its split and its number. Its factors are drawn first, each value as often
as any other, and the picture is put together from them: a handwritten digit, cut out and scaled
to its size, is laid on the ground as a mask of its colour, a pixel or none from the middle of its
place. Of two digits each has half of the picture to itself, and the first is the upper or the left
one, so that a picture has one description only.

A digit has one colour that it never has in training and test (`HELD_OUT`); in each scene of the
split `unseen` there is one digit that has.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.config.datasets import (
    BACKGROUNDS,
    COLOURS,
    DIGITS,
    HELD_OUT,
    PAIRS,
    PLACES,
    SIZES,
    DigitsConfig,
    ScenesConfig,
)
from genlab.data.arrays import Source, Split
from genlab.data.randomness import generator
from genlab.data.sources import digits

SIDE = 32
JITTER = 1  # pixels by which a digit may miss the middle of its place, in each direction
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
BOXES = {  # left, top, right, bottom in pixels: where the digit is, or each of the two
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
    """A digit of a scene, in words."""

    digit: str
    colour: str
    size: str


class Scene(NamedTuple):
    """What is to be seen: one digit at its place, or two."""

    background: str
    layout: str
    things: list[Thing]

    @property
    def factors(self) -> list[int]:
        """The numbers of the values, in the order of `ScenesConfig.values`."""
        things = [
            number
            for thing in self.things
            for number in (
                DIGITS.index(thing.digit),
                COLOURS.index(thing.colour),
                SIZES.index(thing.size),
            )
        ]
        nothing = [len(DIGITS), len(COLOURS), len(SIZES)] if len(self.things) == 1 else []
        layout = (PLACES + PAIRS).index(self.layout)
        return [BACKGROUNDS.index(self.background), layout, *things, *nothing]

    @property
    def captions(self) -> list[str]:
        """In full, in full but in another order, in few words, and without sizes and places."""
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
    """Draw factors; with `unseen`, one digit is in its held-out colour, and else none is."""

    def one_of(values: tuple[str, ...]) -> str:
        return values[random.integers(len(values))]

    background = one_of(BACKGROUNDS)
    layout = one_of((PLACES, PAIRS)[random.integers(2)])
    things = []
    odd = random.integers(len(BOXES[layout])) if unseen else None
    for i in range(len(BOXES[layout])):
        digit = one_of(DIGITS)
        others = tuple(colour for colour in COLOURS if colour != HELD_OUT[digit])
        colour = HELD_OUT[digit] if i == odd else one_of(others)
        things.append(Thing(digit, colour, one_of(SIZES)))
    return Scene(background, layout, things)


def cut_out(digit: NDArray[np.uint8], longer_side: int) -> NDArray[np.float64]:
    """The digit [H, W] within its bounding box, scaled; 0..1, [h, w], max(h, w) = longer_side."""
    rows, columns = np.flatnonzero(digit.any(axis=1)), np.flatnonzero(digit.any(axis=0))
    picture = Image.fromarray(digit[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    scale = longer_side / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    scaled = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS)) / 255
    return np.asarray(scaled / scaled.max())  # thin strokes become no darker


def paint(
    scene: Scene, shapes: list[NDArray[np.uint8]], random: np.random.Generator
) -> NDArray[np.uint8]:
    """The picture uint8 [3, 32, 32] of a scene whose digits are handwritten as in `shapes`.

    A digit lies about the middle of its box, and within it.
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
    """The first scenes of a split, of digits out of `handwritten`."""
    of_digit = {
        digit: handwritten.images[handwritten.labels == k, 0] for k, digit in enumerate(DIGITS)
    }
    images = np.empty((scenes, 3, SIDE, SIDE), np.uint8)
    factors, captions = [], []
    for i in range(scenes):
        random = generator("scenes", name, i)
        scene = draw_scene(random, unseen=name == "unseen")
        shapes = []
        for thing in scene.things:
            known = of_digit[thing.digit]
            shapes.append(known[random.integers(len(known))])
        images[i] = paint(scene, shapes, random)
        factors.append(scene.factors)
        captions.append(scene.captions)
    columns = np.array(factors, dtype=np.int64)
    label = list(ScenesConfig().values).index("digit")
    return Split(images, columns[:, label], columns, captions)


def fetch(config: ScenesConfig, raw: Path) -> list[Path]:
    """The embedded digits that the scenes are put together from."""
    return digits.fetch(DigitsConfig(), raw)


def read(config: ScenesConfig, files: list[Path]) -> Source:
    """Training scenes of the digits to train on, test and unseen scenes of those held out.

    An image's label is its first digit.
    """
    source = digits.read(DigitsConfig(), files)
    return Source(
        make_split("train", config.train, source.train),
        make_split("test", config.test, source.test),
        source.classes,
        make_split("unseen", config.unseen, source.test),
    )
