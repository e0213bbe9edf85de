"""The user's own pictures in a folder, zip or tar file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from genlab.config.picture_files import Listing, list_pictures, read_file
from genlab.config.picture_layout import Layout, arrange, natural
from genlab.config.picture_names import examples, printable
from genlab.config.picture_table import (
    CAPTION,
    FILE,
    LABEL,
    RESERVED,
    PictureTable,
    Row,
    file_words,
    read_table,
    rows_of,
)
from genlab.config.sources import LabelledConfig, placeholders
from genlab.errors import GenLabError

MOST_VALUES = 256
"""Largest number of values of a factor; more are rather a text or a measurement."""


class ImageFolderConfig(LabelledConfig):
    """Your own pictures: a folder or archive of `split/class/*.png`, `class/*.png` or `*.png`."""

    source: Literal["image_folder"] = "image_folder"
    path: Annotated[str, Field(min_length=1)]
    """The folder, zip or tar file."""
    size: PositiveInt
    """Side of the square image in pixels."""
    channels: Literal[1, 3] = 3
    """1 for grey images, 3 for RGB."""
    resize: bool = False
    """Scale and centre-crop pictures of another size, which are an error otherwise."""
    convert: bool = False
    """Convert pictures of another colour mode, which are an error otherwise."""
    background: Literal["white", "black"] = "white"
    """Colour behind transparent pixels when a picture is converted."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Share of each class that is held out if there is no test split."""
    unreadable: Annotated[int, Field(ge=0)] = 0
    """Largest number of unreadable pictures that are skipped; planning counts that many less."""
    table: str | None = None
    """A CSV file, or JSON Lines file (.jsonl), in or beside the folder or archive, with a row for
    each picture: `file`, perhaps `label` (its class), and columns for captions and factors."""
    factor_columns: tuple[str, ...] = ()
    """Columns of the table whose values are factors of the images."""

    decodes: ClassVar[bool] = True
    class_placeholders_only: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _captions_of_the_table(cls, values: Any) -> Any:
        """With a table, a picture's caption is the column `caption` by default."""
        if isinstance(values, dict) and values.get("table") and "captions" not in values:
            return {**values, "captions": (f"{{{CAPTION}}}",)}
        return values

    @model_validator(mode="after")
    def _factors_have_a_table(self) -> ImageFolderConfig:
        if self.factor_columns and self.table is None:
            raise ValueError("factor_columns: needs a table; set `table`")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size, self.size)

    @functools.cached_property
    def listing(self) -> Listing:
        """The files in the folder or archive, listed once."""
        return list_pictures(Path(self.path))

    @functools.cached_property
    def layout(self) -> Layout:
        """The pictures of both splits with their classes."""
        return self.arrange(self.listing.pictures)

    def arrange(self, pictures: list[str]) -> Layout:
        """Sort `pictures`, which are files of the folder or archive, into splits and classes.

        Raises:
            GenLabError: they fit none of the layouts, or have no row in the table.
        """
        labels = None
        if self.rows and LABEL in self.rows.columns:
            labels = {name: row[LABEL] for name, row in rows_of(self.rows, pictures).items()}
        table = self.table_place[0] if self.table_place else None
        others = [name for name in self.listing.others if name != table]
        return arrange(Path(self.path), Listing(pictures, others), self.test_fraction, labels)

    @functools.cached_property
    def table_place(self) -> tuple[str, None] | tuple[None, Path] | None:
        """The table's name within the folder or archive, or its path beside it.

        Raises:
            GenLabError: there is no such file, or several.
        """
        if self.table is None:
            return None
        end = f"/{self.table}"
        inside = [name for name in self.listing.others if f"/{name}".endswith(end)]
        beside = Path(self.path).parent / self.table
        if len(inside) + beside.is_file() > 1:
            raise GenLabError(f"table: '{self.table}' is several files in or beside {self.path}")
        if inside:
            return inside[0], None
        if not beside.is_file():
            raise GenLabError(f"table: '{self.table}' is neither in {self.path} nor beside it")
        return None, beside

    @functools.cached_property
    def rows(self) -> PictureTable | None:
        """The table, read once; None if there is none."""
        if self.table_place is None:
            return None
        inside, beside = self.table_place
        path = beside or Path(self.path)
        where = f"{path}: {printable(inside)}" if inside else str(path)
        return read_table(where, read_file(path, inside))

    def fields(self, pictures: list[str]) -> dict[str, Row]:
        """Return the values of the placeholders that differ within a class, for each picture."""
        rows = rows_of(self.rows, pictures) if self.rows else {name: {} for name in pictures}
        if FILE not in placeholders(self.captions):
            return rows
        return {name: {**row, FILE: file_words(name)} for name, row in rows.items()}

    def captions_of(
        self, pictures: list[tuple[str, int]], classes: list[str]
    ) -> list[list[str]] | None:
        """Return the captions of pictures with their classes; None if the class alone decides."""
        if placeholders(self.captions) <= {*RESERVED}:
            return None
        names = self.names or classes
        fields = self.fields([name for name, _ in pictures])
        return [
            [
                caption.format_map({**fields[name], "class": classes[k], "name": names[k]})
                for caption in self.captions
            ]
            for name, k in pictures
        ]

    @functools.cached_property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Values of every factor that pictures of the two splits have, in their natural order."""
        if not self.factor_columns:
            return {}
        rows = self.fields([name for name, _ in self.layout.train + self.layout.test]).values()
        return {
            column: tuple(sorted({row[column] for row in rows}, key=natural))
            for column in self.factor_columns
        }

    @functools.cached_property
    def described(self) -> tuple[str, ...]:
        """Factors whose value is a part of every caption of every picture."""
        pictures = self.layout.train + self.layout.test
        fields = self.fields([name for name, _ in pictures])
        captions = self.captions_of(pictures, self.layout.classes) or []
        return tuple(
            column
            for column in self.factor_columns
            if captions
            and all(
                fields[name][column].lower() in text.lower()
                for (name, _), texts in zip(pictures, captions, strict=True)
                for text in texts
            )
        )

    @property
    def checkable(self) -> bool:
        """Whether captions say the factors, or the class where no factors are known."""
        if self.factor_columns:
            return bool(self.described)
        says_class = all(placeholders((text,)) & {*RESERVED} for text in self.captions)
        return self.class_count > 1 and says_class

    @property
    def held_out(self) -> int:
        return len(self.layout.test) - self.unreadable

    @property
    def train_count(self) -> int:
        return len(self.layout.train) - self.unreadable

    @property
    def class_count(self) -> int:
        return len(self.layout.classes)

    @property
    def own_files(self) -> list[Path]:
        path = Path(self.path)
        files = [path] if path.is_file() else [path / name for name in self.listing.pictures]
        if self.table_place:
            inside, beside = self.table_place
            if beside or path.is_dir():
                files.append(beside or path / str(inside))
        return files

    def check(self) -> None:
        try:
            _ = self.listing
        except GenLabError as error:
            raise GenLabError(f"path: {error}") from None
        self._check_table()
        try:
            _ = self.layout
        except GenLabError as error:
            raise GenLabError(f"path: {error}") from None
        fewest = min(len(self.layout.train), len(self.layout.test))
        if self.unreadable >= fewest:
            raise GenLabError(
                f"unreadable: {self.unreadable} of the {len(self.layout.train)} training or "
                f"{len(self.layout.test)} held-out pictures may be skipped; set fewer than {fewest}"
            )
        self._check_factors()
        super().check()

    def _check_table(self) -> None:
        """Check the table, and that it has all columns of captions and factors."""
        columns = self.rows.columns if self.rows else ()
        allowed = [*RESERVED, FILE, *(column for column in columns if column != FILE)]
        if unknown := sorted(placeholders(self.captions) - {*allowed}):
            raise GenLabError(
                f"captions: unknown placeholder {{{unknown[0]}}}; use "
                + ", ".join(f"{{{name}}}" for name in allowed)
            )
        for column in self.factor_columns:
            if column == FILE or column not in columns:
                raise GenLabError(
                    f"factor_columns: '{column}' is no column of the table; it has "
                    f"{', '.join(columns)}"
                )
        if self.rows:
            _ = self.fields(self.listing.pictures)  # each has a row

    def _check_factors(self) -> None:
        """Refuse factors that don't vary, or have too many values."""
        for column, values in self.values.items():
            if not 1 < len(values) <= MOST_VALUES:
                raise GenLabError(
                    f"factor_columns: '{column}' has {len(values)} values ({examples(values)}), "
                    f"but a factor has 2 to {MOST_VALUES}; remove it"
                )
