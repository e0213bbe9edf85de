"""The log of a run in its own folder, which the tracking services mirror.

Training appends a line per logged step to `history.jsonl`. Every stage leaves one record,
`tracking/STAGE.json`, with its parameters, tags, metrics and artifacts. No tracking service is
needed or imported here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genlab.errors import GenLabError
from genlab.io.files import read_json, sha256, write_json
from genlab.results.layout import RunFolder

Row = dict[str, float]
"""A logged step: `step`, `time` in seconds since the epoch, and the values of that step."""


def append_history(path: Path, rows: Iterable[Row]) -> None:
    """Append a line for each of `rows`.

    Raises:
        GenLabError: the disk is full, or the file can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    except OSError as error:
        raise GenLabError(f"{path}: can't be written: {error.strerror or error}") from error


def read_history(path: Path) -> list[Row]:
    """Read all logged steps in order, up to a line that was cut off by a kill."""
    rows: list[Row] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows


def leave_record(
    run: RunFolder,
    stage: str,
    metrics: dict[str, float] | None = None,
    params: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    artifacts: Iterable[Path] = (),
) -> None:
    """Write the record of `stage`, which replaces its earlier record."""
    content = {
        "metrics": metrics or {},
        "params": params or {},
        "tags": tags or {},
        # The hash makes a record with a changed file a new record, which is sent again.
        "artifacts": {str(path.relative_to(run.folder)): sha256(path) for path in artifacts},
    }
    write_json(run.outbox / f"{stage}.json", content)


def read_records(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Read the records of all stages of `run`, by stage."""
    paths = sorted(run.outbox.glob("*.json"))
    return {path.stem: read_json(path) for path in paths if not path.stem.startswith("sent_")}


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings; their keys are joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
