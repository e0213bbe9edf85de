"""Read and write files; writing is atomic, so a reader finds a complete file or none."""

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
    """Open a temporary path that replaces `path` when the block ends without an error.

    Otherwise `path` keeps its old content or stays absent, so that a full disk or a kill leaves no
    truncated file. The file's mode follows the umask, even if a library writes it with another.

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
    """Write `text` to `path`, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


CHECKSUM = "checksum of the rest"
"""Key of a JSON object that GenLab wrote; `read_json` uses it to detect later changes.

No model, row or data set can have this name."""


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as JSON, atomically; infinity and NaN are refused.

    An object gets its CHECKSUM as one more key.
    """
    if isinstance(content, dict):
        decoded = json.loads(json.dumps(content))  # as `read_json` will see it: keys are text
        content = decoded | {CHECKSUM: _checksum(decoded)}
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def _checksum(content: dict[str, Any]) -> str:
    """Half of the SHA-256 of `content` as decoded from JSON; the order of keys counts."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def read_json(path: Path) -> Any:
    """Return the content of the JSON file at `path`, without its CHECKSUM.

    Raises:
        GenLabError: the file is missing, unreadable, not valid JSON, or was changed since
            `write_json` wrote it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GenLabError(f"{path}: no such file; run the stage that makes it first") from None
    except OSError as error:
        raise GenLabError(f"{path}: can't be read: {error.strerror}") from None
    except ValueError as error:
        raise GenLabError(f"{path}: not valid JSON ({error}); delete it and run again") from None
    if isinstance(content, dict) and CHECKSUM in content:
        expected = content.pop(CHECKSUM)
        if expected != _checksum(content):
            raise GenLabError(
                f"{path}: damaged: its content differs from the checksum that was written with it; "
                "delete it and run again"
            )
    return content


def sha256(path: Path) -> str:
    """Return the SHA-256 of the file at `path`, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def note_path(array: Path) -> Path:
    """Return the path of an array's note, which has its checksum and its origin."""
    return array.with_name(array.name + ".json")
