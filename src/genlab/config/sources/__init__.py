"""Data sources, one per file: the settings of a data set, and every fact that planning needs.

A source is two files of the same name. The one here holds a subclass of `DatasetConfig`, and
imports neither torch nor NumPy. The one in `genlab.data.sources` turns raw files into arrays.
Both are found by their file name, which is also the `source:` in `config/datasets/NAME.yaml`.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator, model_validator

from genlab.config.base import LARGEST_SIDE, Strict, build, pick
from genlab.errors import GenLabError
from genlab.registry import class_in, modules_in


class DatasetConfig(Strict):
    """What every data set states; `config/datasets/NAME.yaml` holds one.

    A count that is None is unknown before the data set is prepared.
    """

    decodes: ClassVar[bool] = False
    """Whether the source decodes pictures on several threads and keeps them in a cache; its `read`
    takes a `genlab.data.decoded.Cache` as well."""

    source: str
    vocabulary: Annotated[int, Field(ge=258, le=2**16)] = 512
    """Largest number of tokens of the caption tokenizer: 256 bytes, 2 special tokens, merges."""

    @model_validator(mode="after")
    def _side_is_bounded(self) -> DatasetConfig:
        if max(self.shape) > LARGEST_SIDE:
            raise ValueError(f"size: must be at most {LARGEST_SIDE} pixels, got {max(self.shape)}")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        raise NotImplementedError

    @property
    def train_count(self) -> int | None:
        """Number of training images."""
        return None

    @property
    def held_out(self) -> int | None:
        """Number of test images."""
        return None

    @property
    def class_count(self) -> int | None:
        """Number of classes."""
        return None

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Names of the values 0, 1, 2 ... of every factor that the images are generated from.

        Empty if the factors of the images are not known.
        """
        return {}

    @property
    def factors(self) -> dict[str, int]:
        """Number of values of every factor, in the order of the columns."""
        return {name: len(values) for name, values in self.values.items()}

    @property
    def described(self) -> tuple[str, ...]:
        """Factors that the captions mention."""
        return tuple(self.values)

    @property
    def subject(self) -> tuple[str, ...]:
        """Factors that are the main content of a caption, a subset of `described`."""
        return self.described

    @property
    def checkable(self) -> bool:
        """Whether a judge can tell if a picture shows what its caption says."""
        return self.class_count != 1

    @property
    def own_files(self) -> list[Path]:
        """The user's own files that the images are read from; empty for downloaded images."""
        return []

    def check(self) -> None:
        """Check what can be checked before any job starts, such as the user's own files.

        Raises:
            GenLabError: the data set can't be used; the message begins with the key to change.
        """


class LabelledConfig(DatasetConfig):
    """A data set with classes, whose captions are sentences about an image's class."""

    class_placeholders_only: ClassVar[bool] = True
    """Whether captions use no placeholders except {class} and {name}."""

    captions: Annotated[tuple[str, ...], Field(min_length=1)] = ("a picture of {name}",)
    """Captions of every image. {class} is replaced by the class as the source calls it, {name} by
    its entry in `names`."""
    names: tuple[str, ...] | None = None
    """Names of the classes for captions, in the order of the classes; null takes the source's."""

    def check(self) -> None:
        if self.names is not None and self.class_count not in (None, len(self.names)):
            raise GenLabError(
                f"names: {len(self.names)} names for {self.class_count} classes; give one per class"
            )

    @field_validator("captions")
    @classmethod
    def _placeholders_are_known(cls, captions: tuple[str, ...]) -> tuple[str, ...]:
        for caption in captions:
            try:
                fields = list(string.Formatter().parse(caption))
            except ValueError as error:
                raise ValueError(f"'{caption}': {error}; write {{{{ for a brace itself") from None
            for _, field, form, conversion in fields:
                if cls.class_placeholders_only and field not in (None, "class", "name"):
                    raise ValueError(
                        f"'{caption}': unknown placeholder {{{field}}}; use {{class}} or {{name}}"
                    )
                if form or conversion:
                    raise ValueError(
                        f"'{caption}': write {{{field}}} without a format (':') or conversion ('!')"
                    )
        return captions


def placeholders(captions: Iterable[str]) -> set[str]:
    """Return the names in braces in valid templates."""
    return {
        field
        for caption in captions
        for _, field, _, _ in string.Formatter().parse(caption)
        if field is not None
    }


def source_names() -> list[str]:
    """Return the names of all sources."""
    return [module.rpartition(".")[2] for module in modules_in(__name__)]


def source_class(name: str) -> type[DatasetConfig]:
    """Return the configuration class of the source `name`, which exists."""
    return class_in(f"{__name__}.{name}", DatasetConfig)


def build_source(values: dict[str, Any], path: str | Path) -> DatasetConfig:
    """Validate a data set's settings by the class that its `source:` names.

    Raises:
        ConfigError: the source is unknown, or a setting is wrong.
    """
    name = pick({name: name for name in source_names()}, "source", values, path)
    return build(source_class(name), values, path)
