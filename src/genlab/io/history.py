"""The history of a training: one line of JSON for each logged step."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from genlab.errors import GenLabError

Row = dict[str, float]
"""What one step reports, its number under 'step'."""


def as_lines(rows: Iterable[Row]) -> str:
    """`rows` as text, a line each."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def append_history(path: Path, rows: Iterable[Row]) -> None:
    """Add a line for each of `rows`.

    Raises:
        GenLabError: the disk is full, or the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(as_lines(rows))
    except OSError as error:
        raise GenLabError(f"{path}: can't be written: {error.strerror or error}") from error


def read_history(path: Path) -> list[Row]:
    """Return all logged steps in order; a line that a kill cut off ends the list."""
    rows: list[Row] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows
