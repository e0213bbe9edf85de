"""Look at a folder or zip of pictures: how many, of what size and colour, and which are broken."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genlab.config.picture_files import UNREADABLE, list_pictures, printable, zip_members
from genlab.config.picture_layout import Layout, arrange
from genlab.data.decoding import load_picture
from genlab.errors import GenLabError

SAMPLE = 200
"""Largest number of pictures that are opened."""


class Look(NamedTuple):
    """What a folder or zip of pictures holds.

    Attributes:
        layouts: the splits and classes for each `test_fraction` that was asked for.
        opened: number of pictures that were opened, spread evenly over all.
        sides: smallest and largest side of these in pixels.
        channels: 1 if all of them are grey, else 3.
    """

    layouts: dict[float, Layout]
    opened: int
    sides: tuple[int, int]
    channels: int

    @property
    def description(self) -> str:
        """The pictures in a sentence."""
        train, test, classes, _ = next(iter(self.layouts.values()))
        total, (low, high) = len(train) + len(test), self.sides
        kinds = f"{len(classes)} classes" if len(classes) > 1 else "one class"
        opened = "all" if self.opened == total else f"{self.opened:,}"
        return (
            f"{total:,} pictures in {kinds}; {opened} of them opened: sides of {low} to {high} "
            f"pixels, {'all grey' if self.channels == 1 else 'in colour'}"
        )


def _pictures(path: Path, names: list[str]) -> Iterator[tuple[str, Image.Image | GenLabError]]:
    """Yield each of the pictures `names` in the folder or zip, or why it can't be read."""
    with zipfile.ZipFile(path) if path.is_file() else nullcontext() as archive:
        members = zip_members(archive) if archive else {}
        for name in names:
            try:
                if archive:
                    with archive.open(members[name]) as member:
                        content = member.read(members[name].file_size)
                else:
                    content = (path / name).read_bytes()
                yield name, load_picture(content)
            except GenLabError as error:
                yield name, error
            except UNREADABLE as error:
                yield name, GenLabError(f"can't be read ({error})")


def is_grey(picture: Image.Image) -> bool:
    """Return whether red, green and blue are the same everywhere, seen from afar."""
    if picture.mode in ("1", "L", "LA") or picture.mode.startswith("I"):
        return True
    picture.thumbnail((64, 64))
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    return bool(np.ptp(pixels, axis=2).max() <= 8)  # JPEG does not keep grey exactly


def look(path: Path, fractions: tuple[float, ...]) -> Look:
    """List the pictures of a folder or zip and open a sample of them.

    Args:
        fractions: shares to hold out where there is no test split.

    Raises:
        GenLabError: there are none, they fit no layout, or one of those opened is broken.
    """
    listing = list_pictures(path)
    layouts = {fraction: arrange(path, listing, fraction) for fraction in fractions}
    used = [name for split in layouts[fractions[0]][:2] for name, _ in split]
    names = used[:: -(-len(used) // SAMPLE)]
    sides: list[int] = []
    grey, broken = True, []
    for name, picture in _pictures(path, names):
        if isinstance(picture, GenLabError):
            broken.append(f"'{printable(name)}' {picture}")
        else:
            sides += picture.size
            grey = grey and is_grey(picture)
    if broken:
        raise GenLabError(
            f"{path}: {len(broken)} of the {len(names)} pictures that were opened are broken: "
            f"{'; '.join(broken[:3])}{'; ...' * (len(broken) > 3)}. Repair or remove them"
        )
    return Look(layouts, len(names), (min(sides), max(sides)), 1 if grey else 3)
