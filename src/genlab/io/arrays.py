"""Arrays on disk with checksums.

Every array has a note beside it, NAME.npy.json, with its SHA-256 and the origin it was made from.
Reading an array checks it against its note, once per process.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genlab.errors import GenLabError
from genlab.io.files import note_path, replacing, sha256, write_json


class Note(NamedTuple):
    """The content of the note beside an array.

    Attributes:
        sha256: SHA-256 of the file, in hexadecimal.
        made_from: digest of the specs and data that the array was made from; '' if its writer
            gave none.
    """

    sha256: str
    made_from: str


def read_note(path: Path) -> Note:
    """Read the note of the array at `path`.

    Raises:
        GenLabError: the note is missing or damaged.
    """
    try:
        content = json.loads(note_path(path).read_text(encoding="utf-8"))
        return Note(str(content["sha256"]), str(content["made_from"]))
    except FileNotFoundError:
        raise GenLabError(
            f"{path}: the file with its checksum, {note_path(path).name}, is missing; delete "
            f"{path.name} and run again"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenLabError(
            f"{note_path(path)}: not a valid checksum of an array ({error}); delete it and "
            f"{path.name}, and run again"
        ) from None


def write_array(path: Path, array: NDArray[Any], made_from: str = "") -> None:
    """Write `array` and its note as .npy at `path`, atomically."""
    with array_writer(path, array.shape, str(array.dtype), made_from) as file:
        file[...] = array


def read_array(path: Path) -> NDArray[Any]:
    """Open the .npy array at `path`, memory-mapped and read-only; nothing is unpickled.

    Raises:
        GenLabError: the file is missing, damaged, or not a .npy array.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        stat = path.stat()
    except FileNotFoundError:
        raise GenLabError(f"{path}: no such file; run the stage that makes it first") from None
    except PermissionError:
        raise GenLabError(f"{path}: no permission to read it") from None
    except (ValueError, EOFError, OSError) as error:
        raise GenLabError(
            f"{path}: not a readable .npy array ({error}); delete it and run again"
        ) from None
    if _sha256_of_version(path, stat.st_mtime_ns, stat.st_size) != read_note(path).sha256:
        raise GenLabError(
            f"{path}: damaged: its SHA-256 differs from the one recorded when it was written; "
            "delete it and run again"
        )
    return array


def read_ahead(array: NDArray[Any], rows: NDArray[np.int64]) -> None:
    """Ask the system to read these rows of a memory-mapped array from disk; don't wait for them.

    Nothing happens for an array in memory, without `posix_fadvise`, or if its file is gone.

    Args:
        array: as `read_array` returns it; of a slice, other rows would be read.
    """
    if not (isinstance(array, np.memmap) and array.filename and hasattr(os, "posix_fadvise")):
        return
    size = array[:1].nbytes
    with contextlib.suppress(OSError), Path(array.filename).open("rb") as file:
        for start in (array.offset + np.sort(rows) * size).tolist():
            os.posix_fadvise(file.fileno(), start, size, os.POSIX_FADV_WILLNEED)


@functools.lru_cache(maxsize=256)
def _sha256_of_version(path: Path, modified: int, size: int) -> str:
    """Return `sha256(path)`, computed once per process and version of the file."""
    return sha256(path)


def create_array(
    file: Path, shape: tuple[int, ...], dtype: str, path: Path | None = None
) -> np.memmap[Any, Any]:
    """Create a memory-mapped .npy array of zeros in `file`, without a note.

    Args:
        path: where the array will lie in the end, for messages.

    Raises:
        GenLabError: the disk has not enough space for the array.
    """
    needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise GenLabError(
            f"{path or file}: {shape[0]} images need {needed / 1e9:.3g} GB, but the disk has only "
            f"{free / 1e9:.3g} GB left; free some space, or ask for fewer images"
        )
    array = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
    # Writing to a sparse file on a full disk would end the process with SIGBUS.
    with file.open("r+b") as opened:
        os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return array


def link_array(path: Path, file: Path) -> None:
    """Let `path` be the .npy array in `file` as well, with a note; atomically.

    It is a hard link, or a copy where there can be none.
    """
    with replacing(path) as temporary:
        temporary.unlink()
        try:
            os.link(file, temporary)
        except OSError:
            shutil.copyfile(file, temporary)
        os.utime(temporary)  # as new as if it were written now
        write_json(note_path(path), Note(sha256(temporary), "")._asdict())


@contextmanager
def array_writer(
    path: Path, shape: tuple[int, ...], dtype: str, made_from: str = ""
) -> Iterator[NDArray[Any]]:
    """Open a memory-mapped .npy array to fill block by block; `path` appears when it is complete.

    Args:
        made_from: origin for the array's note.

    Raises:
        GenLabError: the disk has not enough space for the array; nothing is written then.
    """
    with replacing(path) as temporary:
        array = create_array(temporary, shape, dtype, path)
        yield array
        array.flush()
        # The note comes first, so that no array is ever without one.
        write_json(note_path(path), Note(sha256(temporary), made_from)._asdict())
