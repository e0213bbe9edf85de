"""Mirroring a run's folder to MLflow, TensorBoard and Weights & Biases.

Each service has a sink that knows how to open a run and how to send steps and records.
`tracking/sent_SERVICE.json` notes how much each of the service's runs has received, so that any
stage, or a later call of the workflow, sends just what is missing. Where the service has none of
these runs (it was deleted, or the address is another one), a new run receives everything. A
service that fails is reported and left behind; training goes on.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from filelock import FileLock

from genlab.config.study import TrackingConfig
from genlab.errors import GenLabError
from genlab.io.files import read_json, write_json
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.spec import RunSpec, read_run, read_runs, read_tracking
from genlab.tracking.mlflow_store import note_store
from genlab.tracking.record import Row, read_history, read_records


class Sink(Protocol):
    """A tracking service, for one run folder."""

    id: str
    """The service's own name for the open run."""

    def __init__(self, run: RunFolder, spec: RunSpec, tracking: TrackingConfig) -> None: ...

    def find(self, ids: Sequence[str]) -> str | None:
        """Return the newest of the runs `ids` that the service has; None if it has none."""

    def open(self, run_id: str | None) -> None:
        """Open the run `run_id` to append to it, or a new one."""

    def steps(self, rows: list[Row]) -> None:
        """Send logged steps."""

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        """Send a stage's params, tags, metrics, and the artifacts that lie in `folder`."""

    def close(self, status: Status) -> None:
        """Flush, and say how the run stands."""


ROWS_AT_ONCE = 100  # a failure in the middle sends no more than these again

Status = Literal["RUNNING", "FINISHED", "FAILED"]


def sinks(tracking: TrackingConfig) -> dict[str, type[Sink]]:
    """The sink of each service that is switched on. Its library is imported only when used."""
    from genlab.tracking import mlflow_sink, tensorboard_sink, wandb_sink

    chosen: dict[str, type[Sink]] = {"mlflow": mlflow_sink.MlflowSink}
    if tracking.tensorboard:
        chosen["tensorboard"] = tensorboard_sink.TensorBoardSink
    if tracking.wandb != "off":
        chosen["wandb"] = wandb_sink.WandbSink
    return chosen


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def _send(
    run: RunFolder,
    name: str,
    service: type[Sink],
    spec: RunSpec,
    tracking: TrackingConfig,
    status: Status,
) -> None:
    """Bring one service up to date, noting the progress after every part that went through."""
    note = run.outbox / f"sent_{name}.json"
    sent = read_json(note) if note.exists() else {}
    if sent.get("digest") != spec.digest:  # another configuration is another run of the service
        sent = {"digest": spec.digest, "runs": {}}
    sink = service(run, spec, tracking)
    run_id = sink.find(list(sent["runs"]))
    progress: dict[str, Any] = {"step": -1, "records": {}, "status": ""}
    if run_id is not None:
        progress = sent["runs"][run_id]
    elif sent["runs"]:
        print(
            f"note: {name} doesn't have {run.folder} (another store, or deleted there); "
            "everything is sent as a new run",
            file=sys.stderr,
        )
    rows = [row for row in read_history(run.history) if row["step"] > progress["step"]]
    records = {
        stage: record
        for stage, record in read_records(run).items()
        if progress["records"].get(stage) != _digest(record)
    }
    if not rows and not records and (run_id is None or status == progress["status"]):
        return
    sink.open(run_id)
    try:
        sent |= {"current": sink.id, "runs": sent["runs"] | {sink.id: progress}}
        write_json(note, sent)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            sink.steps(part)
            progress["step"] = part[-1]["step"]
            write_json(note, sent)
        for stage, record in records.items():
            sink.record(stage, record, run.folder)
            progress["records"][stage] = _digest(record)
            write_json(note, sent)
    finally:
        sink.close(status)
    progress["status"] = status
    write_json(note, sent)


def mirror(run: RunFolder, status: Status) -> dict[str, str]:
    """Send all that the run's folder holds and a service hasn't got; safe to call at any time.

    Returns:
        What went wrong, by service; empty when all of them are up to date.

    Raises:
        GenLabError: the run's folder can't be written, so that nothing can be noted.
    """
    spec, tracking = read_run(run.config), read_tracking(run.study.tracking)
    troubles = {}
    try:
        run.outbox.mkdir(parents=True, exist_ok=True)
        with FileLock(run.outbox / ".lock"):
            for name, service in sinks(tracking).items():
                try:
                    _send(run, name, service, spec, tracking, status)
                except Exception as error:  # whatever a service does, the run must live
                    troubles[name] = f"{type(error).__name__}: {error}"
                    print(
                        f"warning: {name} missed an update of {run.folder}; it will be sent "
                        f"again ({troubles[name]})",
                        file=sys.stderr,
                    )
    except OSError as error:
        message = error.strerror or error
        raise GenLabError(f"{run.outbox}: can't be written: {message}") from error
    return troubles


def publish(study: StudyFolder) -> None:
    """The stage `publish`: send what the runs hold that the study names.

    Folders of models that were taken out of the study are left alone.

    Raises:
        GenLabError: a service couldn't take everything, or `results` can't be written; nothing is
            lost.
    """
    troubles = [
        f"{run.folder}: {service}: {message}"
        for run in read_runs(study)
        for service, message in mirror(run, "FINISHED").items()
    ]
    if troubles:
        raise GenLabError(
            "\n".join(troubles)
            + "\nAll results are safe under results/; run again to send what is missing."
        )
    note_store(study, read_tracking(study.tracking).experiment or study.folder.name)


def forget(run: RunFolder) -> None:
    """Begin anew in every service: the next update opens a new run there."""
    for note in run.outbox.glob("*.json"):
        note.unlink()
