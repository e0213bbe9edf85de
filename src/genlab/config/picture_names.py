"""Which files are pictures, and which are left out, by their names."""

from __future__ import annotations

import os
from collections.abc import Sequence

from genlab.errors import GenLabError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SYSTEM_FILES = ("__macosx", "thumbs.db", "desktop.ini")
LARGEST = 2**29
"""Size limit of a picture file in bytes; a larger one could fill the memory."""


class PictureError(GenLabError):
    """A picture file is damaged, or has values that can't be converted."""


def printable(name: str) -> str:
    """Return a file's name with bytes that are not UTF-8 escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def examples(names: Sequence[str]) -> str:
    """Return the first three of `names` in quotes."""
    return ", ".join(f"'{printable(name)}'" for name in names[:3]) + " ..." * (len(names) > 3)


def is_picture(name: str) -> bool:
    """Return whether the name has a suffix of a picture."""
    return name.lower().endswith(SUFFIXES)


def is_system(name: str) -> bool:
    """Return whether a file or folder is hidden, or made by macOS or Windows."""
    return (name.startswith(".") and name != "..") or name.lower() in SYSTEM_FILES


def check_size(where: str, size: int) -> None:
    """Refuse a picture file larger than LARGEST bytes."""
    if size > LARGEST:
        raise GenLabError(
            f"{where}: has {size / 2**30:.3g} GiB, but the limit for a picture file is "
            f"{LARGEST / 2**30:.3g} GiB; remove it"
        )
