"""Pictures in a zip or tar file, read one by one into memory and never extracted to disk."""

from __future__ import annotations

import gzip
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from genlab.config.picture_names import check_size, is_picture, is_system, printable
from genlab.errors import GenLabError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
"""Suffixes of tar files, in upper or lower case; any other file is read as a zip."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods of a zip that can be read without unpacking beyond the declared size."""
LARGEST_HEADER = 2**20
"""Size limit in bytes of what describes a member of a tar file."""
LARGEST_RATIO = 200
"""How many times its size a compressed tar file may unpack to, if that is more than 1 GiB."""
UNREADABLE = (OSError, RuntimeError, ValueError, ArithmeticError, LookupError, EOFError,
              struct.error, zlib.error, zipfile.BadZipFile, tarfile.TarError)  # fmt: skip
"""Errors that zipfile, tarfile and gzip raise for a damaged or unsupported archive."""


class Member(NamedTuple):
    """A file in a folder or archive.

    Attributes:
        name: relative name, with '/' between folders.
        read: returns the content. In an archive it must be called before the next member is taken.
    """

    name: str
    read: Callable[[], bytes]


def archive_stem(path: Path) -> str:
    """Return the name of an archive or folder without the suffix of an archive."""
    suffix = next((end for end in TAR_SUFFIXES if path.name.lower().endswith(end)), "")
    return path.name.removesuffix(path.name[-len(suffix) :]) if suffix else path.stem


def archive_members(path: Path) -> Iterator[Member]:
    """Yield the files in an archive, in the order in which they are stored.

    Hidden files and system files of macOS and Windows are left out.

    Raises:
        GenLabError: a picture is encrypted, too large, no regular file, stored twice, or has an
            unsupported compression; a tar file is cut off or unpacks to too much.
    """
    pictures = set()
    stored = _in_tar if path.name.lower().endswith(TAR_SUFFIXES) else _in_zip
    for member in stored(path):
        if member.name in pictures:
            raise GenLabError(f"{path}: {printable(member.name)}: is stored twice; remove one")
        if is_picture(member.name):
            pictures.add(member.name)
        yield member


def _name(stored: str) -> str | None:
    """Return the name of a file with '/' between folders; None if it is hidden."""
    parts = [part for part in stored.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts) if parts and not any(map(is_system, parts)) else None


def _in_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            name = _name(info.filename)
            if info.is_dir() or name is None:
                continue
            where = f"{path}: {printable(name)}"
            if is_picture(name):
                if info.flag_bits & 1:
                    raise GenLabError(f"{where}: is encrypted; make a zip without a password")
                if info.compress_type not in METHODS:
                    raise GenLabError(
                        f"{where}: has an unsupported compression; make the zip with deflate"
                    )
                check_size(where, info.file_size)

            def read(info: zipfile.ZipInfo = info, where: str = where) -> bytes:
                check_size(where, info.file_size)
                with archive.open(info) as member:
                    # A zip bomb unpacks to more than the size that it declares.
                    return member.read(info.file_size)

            yield Member(name, read)


class _BoundedFile:
    """A tar file that is not read beyond `limit` bytes, and in one call at most `largest`.

    tarfile reads a header as long as it declares to be, and skips a member by unpacking it.
    """

    def __init__(self, path: Path, file: IO[bytes], limit: int) -> None:
        self.path, self.file, self.limit = path, file, limit
        self.largest, self.last = LARGEST_HEADER, b""

    def tell(self) -> int:
        return self.file.tell()

    def seek(self, position: int) -> int:
        self._check(position, 0)
        return self.file.seek(position)

    def read(self, size: int) -> bytes:
        self._check(self.tell(), size)
        self.last = self.file.read(size)
        return self.last

    def _check(self, position: int, size: int) -> None:
        if size > self.largest or position > self.limit:
            raise GenLabError(
                f"{self.path}: unpacks to far more than a picture or the whole file may have; "
                "make a zip or an uncompressed tar file of the pictures"
            )


def _in_tar(path: Path) -> Iterator[Member]:
    size = path.stat().st_size
    packed = not path.name.lower().endswith(".tar")
    limit = max(LARGEST_RATIO * size, 2**30) if packed else size + tarfile.RECORDSIZE
    with gzip.open(path) if packed else path.open("rb") as opened:
        file = _BoundedFile(path, cast(IO[bytes], opened), limit)
        with tarfile.open(fileobj=cast(IO[bytes], file), mode="r:") as archive:
            while (info := archive.next()) is not None:
                # They would hold all headers that were read so far.
                archive.members.clear()  # type: ignore[attr-defined]
                name = _name(info.name)
                if info.isdir() or name is None:
                    continue
                where = f"{path}: {printable(name)}"
                if is_picture(name):
                    if not info.isreg():
                        raise GenLabError(
                            f"{where}: is a link, a pipe or a device; make the archive with "
                            "`tar --dereference --hard-dereference`"
                        )
                    check_size(where, info.size)
                elif not info.isreg():
                    continue

                def read(info: tarfile.TarInfo = info, where: str = where) -> bytes:
                    check_size(where, info.size)
                    member = archive.extractfile(info)
                    assert member is not None  # a regular file
                    file.largest = max(LARGEST_HEADER, info.size)
                    content = member.read(info.size)
                    file.largest = LARGEST_HEADER
                    return content

                yield Member(name, read)
            _check_end(file)


def _check_end(file: _BoundedFile) -> None:
    """Refuse a tar file without an end, which tarfile doesn't miss; check gzip's checksum."""
    if file.last != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it is cut off, or damaged")
    while file.read(LARGEST_HEADER):
        pass
