"""The user's own pictures in a folder or zip file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from genlab.config.picture_files import Listing, list_pictures
from genlab.config.picture_layout import Layout, arrange
from genlab.config.sources import LabelledConfig
from genlab.errors import GenLabError


class ImageFolderConfig(LabelledConfig):
    """Your own pictures: a folder or zip with `split/class/*.png`, `class/*.png` or `*.png`."""

    source: Literal["image_folder"] = "image_folder"
    path: Annotated[str, Field(min_length=1)]
    """The folder or zip file."""
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

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.channels, self.size, self.size)

    @functools.cached_property
    def listing(self) -> Listing:
        """The files in the folder or zip, listed once."""
        return list_pictures(Path(self.path))

    @functools.cached_property
    def layout(self) -> Layout:
        """The pictures of both splits with their classes."""
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
