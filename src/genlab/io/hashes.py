"""SHA-256 of many files, cached; a file is read again only if its size or its times changed.

This lets planning detect in seconds whether a folder of pictures has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genlab.errors import GenLabError
from genlab.io.files import write_text

Entries = dict[str, list[Any]]
"""For each path: size, times of the last modification and status change (ns), and SHA-256."""


def _read(table: Path) -> Entries:
    """Read the cache; it is empty if the file is missing or damaged."""
    try:
        entries = json.loads(table.read_bytes())
    except (OSError, ValueError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _write(table: Path, entries: Entries) -> None:
    """Write the cache atomically, if the folder can be written."""
    with contextlib.suppress(GenLabError):
        write_text(table, json.dumps(entries))


def hashes(files: Iterable[Path], table: Path, keep: bool = False) -> dict[str, str]:
    """Return the SHA-256 of each file by its path.

    Args:
        table: file of the cache, which need not exist.
        keep: whether to update the cache.

    Raises:
        GenLabError: a file can't be read.
    """
    cached = _read(table)
    entries: Entries = {}
    for file in files:
        path = str(file)
        try:
            status = file.stat()
            state = [status.st_size, status.st_mtime_ns, status.st_ctime_ns]
            entry = cached.get(path)
            if not isinstance(entry, list) or len(entry) != 4 or entry[:3] != state:
                with file.open("rb") as content:
                    entry = [*state, hashlib.file_digest(content, "sha256").hexdigest()]
            entries[path] = entry
        except OSError as error:
            raise GenLabError(f"{file}: can't be read: {error.strerror}") from None
    if keep and entries != cached:
        _write(table, entries)
    return {path: entry[3] for path, entry in entries.items()}


def digest(hashes: dict[str, str]) -> str:
    """Hash the names and the contents of files, given their SHA-256."""
    lines = (b"%s %s\n" % (os.fsencode(path), sha.encode()) for path, sha in sorted(hashes.items()))
    return hashlib.sha256(b"".join(lines)).hexdigest()
