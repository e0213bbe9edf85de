"""The log of a run in its own folder, which the tracking services mirror.

Training appends a line per logged step to `history.jsonl`. Every stage leaves one record,
`tracking/STAGE.json`, with its parameters, tags, metrics and artifacts. No tracking service is
needed or imported here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genlab.io.files import read_json, sha256, write_json
from genlab.results.layout import RunFolder


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
