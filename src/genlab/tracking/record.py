"""The log of a run in its own folder, which the tracking services mirror.

Training appends a line per logged step to `history.jsonl`. Every stage leaves one record,
`tracking/STAGE.json`, with its parameters, tags, metrics and artifacts. The stage `league` leaves
another one for each sampler's row. No tracking service is needed or imported here.

Names of metrics are the same in every run and in every service:

train/loss              of a training step
final/held_out_loss     what a stage measured on the trained model
best/fid, tier ...      of the model's best row in the league
fid, nfe ...            in the run of a row; pixel-pca/fid in the features of another extractor
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from genlab.io.files import read_json, sha256, write_json
from genlab.io.history import Row
from genlab.results.layout import RunFolder


def leave_record(
    run: RunFolder,
    stage: str,
    metrics: dict[str, float] | None = None,
    params: dict[str, Any] | None = None,
    tags: dict[str, str] | None = None,
    artifacts: Iterable[Path] = (),
    *,
    row: str | None = None,
    prefix: str = "final/",
) -> None:
    """Write the record of `stage`, which replaces its earlier record.

    Args:
        artifacts: files in the study's folder.
        row: the sampler's row that the record belongs to; None: the run as a whole.
        prefix: of the names of the metrics.
    """
    content = {
        "row": row,
        "metrics": {f"{prefix}{name}": value for name, value in (metrics or {}).items()},
        "params": params or {},
        "tags": tags or {},
        # The hash makes a record with a changed file a new record, which is sent again.
        "artifacts": {os.path.relpath(path, run.folder): sha256(path) for path in artifacts},
    }
    write_json(run.outbox / f"{stage}.json", content)


def read_records(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Read the records of all stages of `run`, by stage."""
    paths = sorted(run.outbox.glob("*.json"))
    return {path.stem: read_json(path) for path in paths if not path.stem.startswith("sent_")}


def artifact_name(path: str) -> str:
    """The name in a tracking service of an artifact, whose `path` is relative to the run's folder.

    The folders above the run's, where files of the whole study are, are left out.
    """
    return str(PurePath(*(part for part in PurePath(path).parts if part != "..")))


def step_metrics(row: Row) -> dict[str, float]:
    """What a training step logged, under the names of tracking services."""
    return {f"train/{name}": value for name, value in row.items() if name not in ("step", "time")}


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested mappings; their keys are joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
