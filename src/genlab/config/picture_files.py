"""List the pictures in a folder or zip file by their names alone, which is fast enough to plan."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from genlab.errors import GenLabError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
SYSTEM_FILES = ("__macosx", "thumbs.db", "desktop.ini")
LARGEST = 2**29
"""Size limit of a picture file in bytes; a larger one could fill the memory."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods of a zip that can be read without unpacking beyond the declared size."""
UNREADABLE = (OSError, RuntimeError, ValueError, ArithmeticError, LookupError, EOFError,
              struct.error, zlib.error, zipfile.BadZipFile)  # fmt: skip
"""Errors that zipfile raises for a damaged or unsupported archive."""


class Listing(NamedTuple):
    """Relative names of the files in a folder or zip: pictures, by their suffix, and others.

    Hidden files and system files of macOS and Windows are left out.
    """

    pictures: list[str]
    others: list[str]


def printable(name: str) -> str:
    """Return a file's name with bytes that are not UTF-8 escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def examples(names: Sequence[str]) -> str:
    """Return the first three of `names` in quotes."""
    return ", ".join(f"'{printable(name)}'" for name in names[:3]) + " ..." * (len(names) > 3)


def is_picture(name: str) -> bool:
    """Return whether the name has a suffix of a picture."""
    return name.lower().endswith(SUFFIXES)


def _is_system(name: str) -> bool:
    return (name.startswith(".") and name != "..") or name.lower() in SYSTEM_FILES


def _check_size(where: str, size: int) -> None:
    """Refuse a picture file larger than LARGEST bytes."""
    if size > LARGEST:
        raise GenLabError(
            f"{where}: has {size / 2**30:.3g} GiB, but the limit for a picture file is "
            f"{LARGEST / 2**30:.3g} GiB; remove it"
        )


def _in_folder(path: Path) -> list[str]:
    """List all files below the folder `path`; links are followed, except to a parent folder.

    Raises:
        GenLabError: a picture is too large, or is a pipe, a device or a broken link.
    """
    names: list[str] = []
    root = path.stat()
    folders = [("", frozenset({(root.st_dev, root.st_ino)}))]
    while folders:
        prefix, parents = folders.pop()
        with os.scandir(path / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                if _is_system(entry.name):
                    continue
                if entry.is_dir():
                    status = entry.stat()
                    identity = (status.st_dev, status.st_ino)
                    if identity not in parents:
                        folders.append((f"{name}/", parents | {identity}))
                    continue
                names.append(name)
                if is_picture(name):
                    where = f"{path}: {printable(name)}"
                    if not entry.is_file():
                        raise GenLabError(
                            f"{where}: is a pipe, a device or a broken link; remove it"
                        )
                    _check_size(where, entry.stat().st_size)
    return names


def zip_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the files in a zip by their names, with '/' between folders.

    Raises:
        GenLabError: a picture is encrypted, too large, or neither stored nor deflated.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        parts = [p for p in info.filename.replace("\\", "/").split("/") if p not in ("", ".")]
        if info.is_dir() or not parts or any(map(_is_system, parts)):
            continue
        name = "/".join(parts)
        if is_picture(name):
            where = f"{archive.filename}: {printable(name)}"
            if info.flag_bits & 1:
                raise GenLabError(f"{where}: is encrypted; make a zip without a password")
            if info.compress_type not in METHODS:
                raise GenLabError(
                    f"{where}: has an unsupported compression; make the zip with deflate"
                )
            _check_size(where, info.file_size)
        members[name] = info
    return members


def list_pictures(path: Path) -> Listing:
    """List the files in the folder or zip file `path`.

    Raises:
        GenLabError: it is missing or can't be read, or a picture in it can't be used.
    """
    if not path.exists():
        raise GenLabError(f"{path}: no such folder or zip file")
    names: Iterable[str]
    try:
        if path.is_dir():
            names = _in_folder(path)
        elif path.is_file():
            with zipfile.ZipFile(path) as archive:
                names = zip_members(archive)
        else:
            raise GenLabError(f"{path}: neither a folder nor a zip file")
    except UNREADABLE as error:
        raise GenLabError(f"{path}: can't be read ({error})") from None
    ordered = sorted(names, key=lambda name: name.split("/"))
    return Listing(
        [name for name in ordered if is_picture(name)],
        [name for name in ordered if not is_picture(name)],
    )
