"""Arrays on disk that notice damage.

An array has a note beside it, NAME.npy.json: its SHA-256, and what it was made from. Reading the
array checks it against the note, once in a process.
"""

from __future__ import annotations

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
    """What is noted beside an array.

    Attributes:
        sha256: of the file, in hexadecimal.
        made_from: a digest of the specs and data that the array was made from; '' where its
            writer names none.
    """

    sha256: str
    made_from: str


def read_note(path: Path) -> Note:
    """The note of the array at `path`.

    Raises:
        GenLabError: there is none, or it is no note.
    """
    try:
        content = json.loads(note_path(path).read_text(encoding="utf-8"))
        return Note(str(content["sha256"]), str(content["made_from"]))
    except FileNotFoundError:
        raise GenLabError(
            f"{path}: its checksum, {note_path(path).name}, is missing beside it; delete "
            f"{path.name} and run again"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GenLabError(
            f"{note_path(path)}: not the checksum of an array ({error}); delete it and "
            f"{path.name}, and run again"
        ) from None


def write_array(path: Path, array: NDArray[Any], made_from: str = "") -> None:
    """Write `array` as .npy at `path`, all or nothing, and its note."""
    with array_writer(path, array.shape, str(array.dtype), made_from) as file:
        file[...] = array


def read_array(path: Path) -> NDArray[Any]:
    """The .npy array at `path`, memory-mapped and read-only; nothing is unpickled.

    Raises:
        GenLabError: the file is missing, truncated, damaged, or no .npy array.
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
            f"{path}: damaged, its SHA-256 is not the one that was noted when it was written; "
            "delete it and run again"
        )
    return array


@functools.lru_cache(maxsize=256)
def _sha256_of_version(path: Path, modified: int, size: int) -> str:
    """`sha256`, computed once in a process for each version of a file."""
    return sha256(path)


@contextmanager
def array_writer(
    path: Path, shape: tuple[int, ...], dtype: str, made_from: str = ""
) -> Iterator[NDArray[Any]]:
    """A memory-mapped .npy array to be filled block by block, named `path` when complete.

    Args:
        made_from: goes into the array's note.

    Raises:
        GenLabError: the array doesn't fit on the disk (found out before it is begun).
    """
    needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
    with replacing(path) as temporary:
        free = shutil.disk_usage(temporary.parent).free
        if needed > free:
            raise GenLabError(
                f"{path}: {shape[0]} images need {needed / 1e9:.3g} GB, but only "
                f"{free / 1e9:.3g} GB of the disk are free; free some space, or ask for fewer"
            )
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        # A sparse file would hit a full disk as a SIGBUS in the middle of a write.
        with temporary.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
        yield array
        array.flush()
        # Before the array has its name: there is never an array without a note.
        write_json(note_path(path), Note(sha256(temporary), made_from)._asdict())
