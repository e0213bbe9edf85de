"""Look at pictures of one's own: how many, their size and colour, and which are broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from genlab.config.picture_archives import UNREADABLE
from genlab.config.picture_files import list_pictures, members
from genlab.config.picture_layout import Layout, arrange
from genlab.config.picture_names import printable
from genlab.data.decoding import load_picture
from genlab.errors import GenLabError

SAMPLE = 200
"""Largest number of pictures that are opened."""
MOST_BROKEN = 0.1
"""Share of these that may be broken."""


class Look(NamedTuple):
    """What a folder or archive of pictures holds.

    Attributes:
        layouts: the splits and classes for each `test_fraction` that was asked for.
        opened: number of pictures that were opened, spread evenly over all.
        sides: smallest and largest side of these in pixels.
        channels: 1 if all of them are grey, else 3.
        broken: names of those that can't be read, and why.
    """

    layouts: dict[float, Layout]
    opened: int
    sides: tuple[int, int]
    channels: int
    broken: list[str]

    @property
    def total(self) -> int:
        """Number of pictures."""
        train, test, *_ = next(iter(self.layouts.values()))
        return len(train) + len(test)

    @property
    def unreadable(self) -> int:
        """Number of pictures that may be broken: twice the share of those opened, or the number."""
        if self.opened == self.total:
            return len(self.broken)
        return -(-2 * len(self.broken) * self.total // self.opened)

    @property
    def description(self) -> str:
        """The pictures in a sentence."""
        _, _, classes, _ = next(iter(self.layouts.values()))
        total, (low, high) = self.total, self.sides
        kinds = f"{len(classes)} classes" if len(classes) > 1 else "one class"
        opened = "all" if self.opened == total else f"{self.opened:,}"
        return (
            f"{total:,} pictures in {kinds}; {opened} of them opened: sides of {low} to {high} "
            f"pixels, {'all grey' if self.channels == 1 else 'in colour'}"
        )


def _pictures(path: Path, names: list[str]) -> Iterator[tuple[str, Image.Image | GenLabError]]:
    """Yield each of the pictures `names` in the folder or archive, or why it can't be read."""
    for member in members(path, {*names}):
        try:
            yield member.name, load_picture(member.read())
        except GenLabError as error:
            yield member.name, error
        except UNREADABLE as error:
            yield member.name, GenLabError(f"can't be read ({error})")


def is_grey(picture: Image.Image) -> bool:
    """Return whether red, green and blue are the same everywhere, seen from afar."""
    if picture.mode in ("1", "L", "LA") or picture.mode.startswith("I"):
        return True
    picture.thumbnail((64, 64))
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    return bool(np.ptp(pixels, axis=2).max() <= 8)  # JPEG does not keep grey exactly


def look(path: Path, fractions: tuple[float, ...]) -> Look:
    """List the pictures of a folder or archive and open a sample of them.

    Args:
        fractions: shares to hold out where there is no test split.

    Raises:
        GenLabError: there are none, they fit no layout, or too many of those opened are broken.
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
    if len(broken) > MOST_BROKEN * len(names):
        raise GenLabError(
            f"{path}: {len(broken)} of the {len(names)} pictures that were opened are broken: "
            f"{'; '.join(broken[:3])}{'; ...' * (len(broken) > 3)}. Repair or remove them"
        )
    return Look(layouts, len(names), (min(sides), max(sides)), 1 if grey else 3, broken)
