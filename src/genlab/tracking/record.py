"""What happened, in the run's own folder: the truth that every tracking service mirrors.

Training appends a line for every logged step to `history.jsonl`. A later stage leaves one record,
`tracking/STAGE.json`, with its metrics and the files worth keeping. Nothing here needs a service
to be up, or imports one.
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
    """Leave what `stage` wants tracked; a second record of the same stage replaces the first."""
    content = {
        "metrics": metrics or {},
        "params": params or {},
        "tags": tags or {},
        # With its hash, so that a picture drawn anew is sent anew
        "artifacts": {str(path.relative_to(run.folder)): sha256(path) for path in artifacts},
    }
    write_json(run.outbox / f"{stage}.json", content)


def read_records(run: RunFolder) -> dict[str, dict[str, Any]]:
    """The records of all stages of `run`, by stage."""
    paths = sorted(run.outbox.glob("*.json"))
    return {path.stem: read_json(path) for path in paths if not path.stem.startswith("sent_")}


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings with their keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
