"""List and read the pictures in a folder, zip or tar file.

Names alone are listed, which is fast enough to plan.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from genlab.config.picture_archives import UNREADABLE, Member, archive_members
from genlab.config.picture_names import check_size, is_picture, is_system, printable
from genlab.errors import GenLabError


class Listing(NamedTuple):
    """Relative names of the files in a folder or archive: pictures, by their suffix, and others.

    Hidden files and system files of macOS and Windows are left out.
    """

    pictures: list[str]
    others: list[str]


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
                if is_system(entry.name):
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
                    check_size(where, entry.stat().st_size)
    return names


def list_pictures(path: Path) -> Listing:
    """List the files in the folder or archive `path`.

    Raises:
        GenLabError: it is missing or can't be read, or a picture in it can't be used.
    """
    if not path.exists():
        raise GenLabError(f"{path}: no such folder, zip or tar file")
    if not path.is_dir() and not path.is_file():
        raise GenLabError(f"{path}: neither a folder nor a zip or tar file")
    try:
        names = _in_folder(path) if path.is_dir() else [m.name for m in archive_members(path)]
    except UNREADABLE as error:
        raise GenLabError(f"{path}: can't be read ({error})") from None
    ordered = sorted(names, key=lambda name: name.split("/"))
    return Listing(
        [name for name in ordered if is_picture(name)],
        [name for name in ordered if not is_picture(name)],
    )


def members(path: Path, names: Collection[str]) -> Iterator[Member]:
    """Yield the files `names` of the folder or archive `path`, in the order of reading.

    Args:
        names: a set or dictionary, as each file of an archive is looked up in it.

    Raises:
        GenLabError: the archive can't be read.
    """
    if path.is_dir():
        yield from (Member(name, (path / name).read_bytes) for name in names)
        return
    try:
        yield from (member for member in archive_members(path) if member.name in names)
    except UNREADABLE as error:
        raise GenLabError(f"{path}: can't be read ({error})") from None


def read_file(path: Path, name: str | None = None) -> bytes:
    """Return the content of the file `path`, or of the file `name` in the folder or archive `path`.

    Raises:
        GenLabError: it can't be read, or is too large.
    """
    where = f"{path}: {printable(name)}" if name else str(path)
    try:
        if name and not path.is_dir():
            for member in members(path, {name}):
                return member.read()
        file = path / name if name else path
        check_size(where, file.stat().st_size)
        return file.read_bytes()
    except UNREADABLE as error:
        raise GenLabError(f"{where}: can't be read ({error})") from None
