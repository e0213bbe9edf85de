"""Which pictures a folder or zip file holds; by names alone, so that planning can tell."""

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
"""Bytes of the largest picture file that is read; more would fill the memory."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those of a zip that can be read without unpacking more than is asked for."""
UNREADABLE = (OSError, RuntimeError, ValueError, ArithmeticError, LookupError, EOFError,
              struct.error, zlib.error, zipfile.BadZipFile)  # fmt: skip
"""What zipfile raises for a damaged or unsupported archive."""


class Listing(NamedTuple):
    """Names of the files in a folder or zip, relative to it: pictures by their suffix, and others.

    Hidden files and those of macOS, Windows and Jupyter are in neither.
    """

    pictures: list[str]
    others: list[str]


def printable(name: str) -> str:
    """A file's name with bytes that are not UTF-8 escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def examples(names: Sequence[str]) -> str:
    """The first three of `names`, in quotes."""
    return ", ".join(f"'{printable(name)}'" for name in names[:3]) + " ..." * (len(names) > 3)


def is_picture(name: str) -> bool:
    """Whether the suffix is that of a picture."""
    return name.lower().endswith(SUFFIXES)


def _is_system(name: str) -> bool:
    return (name.startswith(".") and name != "..") or name.lower() in SYSTEM_FILES


def _check_size(where: str, size: int) -> None:
    """Refuse a picture file of more than LARGEST bytes."""
    if size > LARGEST:
        raise GenLabError(
            f"{where}: {size / 2**30:.3g} GiB, but a picture file may have "
            f"{LARGEST / 2**30:.3g} GiB at most; delete it"
        )


def _in_folder(path: Path) -> list[str]:
    """All files below the folder `path`. Links are followed, except to a folder further up.

    Raises:
        GenLabError: a picture is too large, or not a file but a pipe, a device or a broken link.
    """
    names: list[str] = []
    root = path.stat()
    folders = [("", frozenset({(root.st_dev, root.st_ino)}))]
    while folders:
        prefix, above = folders.pop()
        with os.scandir(path / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                if _is_system(entry.name):
                    continue
                if entry.is_dir():
                    status = entry.stat()
                    identity = (status.st_dev, status.st_ino)
                    if identity not in above:
                        folders.append((f"{name}/", above | {identity}))
                    continue
                names.append(name)
                if is_picture(name):
                    where = f"{path}: {printable(name)}"
                    if not entry.is_file():
                        raise GenLabError(
                            f"{where}: not a file but a pipe, a device or a broken link; delete it"
                        )
                    _check_size(where, entry.stat().st_size)
    return names


def zip_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files in a zip by their names, with '/' between folders.

    Raises:
        GenLabError: a picture is encrypted, compressed in another way than usual, or too large.
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
                raise GenLabError(f"{where}: is not compressed by deflate; make the zip anew")
            _check_size(where, info.file_size)
        members[name] = info
    return members


def list_pictures(path: Path) -> Listing:
    """The files in the folder or zip file `path`.

    Raises:
        GenLabError: it is missing or can't be read, or a picture in it is not a usable file.
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
