"""Write files so that a reader finds all of one or none of it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from genlab.errors import GenLabError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its name when the block ends well.

    Whatever happens before, `path` keeps its old content or stays absent: a full disk, a missing
    permission or a kill leaves no truncated file under the name. The mode follows the umask, even
    where a library writes the file for its owner alone.

    Raises:
        GenLabError: the folder or the file can't be written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise GenLabError(f"{path}: the disk is full; free some space and run again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise GenLabError(f"{path}: no permission to write here") from error
        raise GenLabError(f"{path}: can't be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` at `path`, all or nothing."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON at `path`, all or nothing. Infinity and NaN are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of the JSON file at `path`.

    Raises:
        GenLabError: the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GenLabError(f"{path}: no such file; run the stage that makes it first") from None
    except OSError as error:
        raise GenLabError(f"{path}: can't be read: {error.strerror}") from None
    except ValueError as error:
        raise GenLabError(f"{path}: not valid JSON ({error}); delete it and run again") from None


def sha256(path: Path) -> str:
    """The SHA-256 of the file at `path`, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def note_path(array: Path) -> Path:
    """The note beside an array: its checksum, and what it was made from."""
    return array.with_name(array.name + ".json")
