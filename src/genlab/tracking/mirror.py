"""Mirroring a run's folder to MLflow, TensorBoard and Weights & Biases.

Each service has a sink that knows how to begin a run and how to send steps and records. How far
it has come is noted in `tracking/sent_SERVICE.json`, so that any stage, or a later run of the
workflow, sends just what is missing. A service that fails is reported and left behind; training
goes on.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

from filelock import FileLock

from genlab.config.errors import GenLabError
from genlab.config.layout import RunFolder, StudyFolder
from genlab.config.spec import RunSpec, read_run, read_tracking
from genlab.config.study import TrackingConfig
from genlab.data.files import read_json, write_json
from genlab.tracking.record import Row, read_history, read_records


class Sink(Protocol):
    """A tracking service, opened for one run."""

    id: str
    """The service's own name for the run; handed back to `open` to append to it."""

    def steps(self, rows: list[Row]) -> None:
        """Send logged steps."""

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        """Send a stage's params, tags, metrics, and the artifacts that lie in `folder`."""

    def close(self, status: Status) -> None:
        """Flush, and say how the run stands."""


ROWS_AT_ONCE = 100  # a failure in the middle sends no more than these again

Status = Literal["RUNNING", "FINISHED", "FAILED"]
Open = Callable[[RunFolder, RunSpec, TrackingConfig, str | None], Sink]


def sinks(tracking: TrackingConfig) -> dict[str, Open]:
    """How to open each service that is switched on. Its library is imported only then."""
    from genlab.tracking import mlflow_sink, tensorboard_sink, wandb_sink

    chosen: dict[str, Open] = {"mlflow": mlflow_sink.open_run}
    if tracking.tensorboard:
        chosen["tensorboard"] = tensorboard_sink.open_run
    if tracking.wandb != "off":
        chosen["wandb"] = wandb_sink.open_run
    return chosen


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def _send(
    run: RunFolder,
    name: str,
    open_run: Open,
    spec: RunSpec,
    tracking: TrackingConfig,
    status: Status,
) -> None:
    """Bring one service up to date, noting the progress after every part that went through."""
    note = run.outbox / f"sent_{name}.json"
    sent = read_json(note) if note.exists() else {}
    if sent.get("spec") != spec.digest:  # another configuration is another run of the service
        sent = {"spec": spec.digest, "id": None, "step": -1, "records": {}, "status": ""}
    rows = [row for row in read_history(run.history) if row["step"] > sent["step"]]
    records = {
        stage: record
        for stage, record in read_records(run).items()
        if sent["records"].get(stage) != _digest(record)
    }
    if not rows and not records and (sent["id"] is None or status == sent["status"]):
        return
    sink = open_run(run, spec, tracking, sent["id"])
    try:
        sent["id"] = sink.id
        write_json(note, sent)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            sink.steps(part)
            sent["step"] = part[-1]["step"]
            write_json(note, sent)
        for stage, record in records.items():
            sink.record(stage, record, run.folder)
            sent["records"][stage] = _digest(record)
            write_json(note, sent)
    finally:
        sink.close(status)
    sent["status"] = status
    write_json(note, sent)


def mirror(run: RunFolder, status: Status) -> dict[str, str]:
    """Send all that the run's folder holds and a service hasn't got; safe to call at any time.

    Returns:
        What went wrong, by service; empty when all of them are up to date.
    """
    spec, tracking = read_run(run.config), read_tracking(run.study.tracking)
    run.outbox.mkdir(parents=True, exist_ok=True)
    troubles = {}
    with FileLock(run.outbox / ".lock"):
        for name, open_run in sinks(tracking).items():
            try:
                _send(run, name, open_run, spec, tracking, status)
            except Exception as error:  # whatever a service does, the run must live
                troubles[name] = f"{type(error).__name__}: {error}"
                print(
                    f"warning: {name} missed an update of {run.folder}; it will be sent again "
                    f"({troubles[name]})",
                    file=sys.stderr,
                )
    return troubles


def publish(study: StudyFolder) -> None:
    """The stage `publish`: send what all runs of a study hold.

    Raises:
        GenLabError: a service couldn't take everything; nothing is lost.
    """
    configs = sorted(study.folder.glob("*/*/seed*/config.yaml"))
    troubles = [
        f"{config.parent}: {service}: {said}"
        for config in configs
        for service, said in mirror(RunFolder(config.parent), "FINISHED").items()
    ]
    if troubles:
        raise GenLabError(
            "\n".join(troubles)
            + "\nAll results are safe under results/; run again to send what is missing."
        )


def forget(run: RunFolder) -> None:
    """Begin anew in every service: the next update opens a new run there."""
    for note in run.outbox.glob("*.json"):
        note.unlink()
