"""Mirror a run's folder to the tracking services.

`tracking/sent_SERVICE.json` in the run's folder records how much each of the service's runs has
received, so any stage, or a later workflow, sends only what is missing. If the service has none of
these runs, because they were deleted or the store is another one, a new run receives everything. A
service that fails is reported and skipped: it does not stop training, and missed records are sent
later.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from filelock import FileLock

from genlab.config.study import TrackingConfig
from genlab.errors import GenLabError
from genlab.io.files import read_json, write_json
from genlab.io.history import read_history
from genlab.registry import class_in, modules_in
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.spec import RunSpec, read_run, read_runs, read_tracking
from genlab.tracking.mlflow_store import note_store
from genlab.tracking.record import read_records
from genlab.tracking.sink import Sink, Status

ROWS_AT_ONCE = 100  # rows per message; after a failure, no more than these are sent again


def sinks(tracking: TrackingConfig) -> dict[str, type[Sink]]:
    """Return the sink of every service that the study uses, by its name."""
    classes = {
        module.rpartition(".")[2]: class_in(module, Sink)  # type: ignore[type-abstract]
        for module in modules_in("genlab.tracking.sinks")
    }
    return {name: sink for name, sink in classes.items() if sink.enabled(tracking)}


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def _send(
    run: RunFolder,
    name: str,
    sink_class: type[Sink],
    spec: RunSpec,
    tracking: TrackingConfig,
    status: Status,
) -> None:
    """Bring one service up to date; the progress is recorded after every part that is sent."""
    note = run.outbox / f"sent_{name}.json"
    sent = read_json(note) if note.exists() else {}
    if sent.get("digest") != spec.digest:  # another configuration gets another run
        sent = {"digest": spec.digest, "runs": {}}
    sink = sink_class(run, spec, tracking)
    run_id = sink.find(list(sent["runs"]))
    progress: dict[str, Any] = {"step": -1, "records": {}, "status": ""}
    if run_id is not None:
        progress = sent["runs"][run_id]
    elif sent["runs"]:
        print(
            f"note: {name} does not have {run.folder}, because it was deleted there or the store "
            "is another one; everything is sent as a new run",
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
    """Send each service what it lacks of the run's folder. This can be called at any time.

    Returns:
        Error messages by service; empty if all services are up to date.

    Raises:
        GenLabError: the run's folder can't be written, so the progress can't be recorded.
    """
    spec, tracking = read_run(run.config), read_tracking(run.study.tracking)
    failures = {}
    try:
        run.outbox.mkdir(parents=True, exist_ok=True)
        with FileLock(run.outbox / ".lock"):
            for name, sink_class in sinks(tracking).items():
                try:
                    _send(run, name, sink_class, spec, tracking, status)
                except Exception as error:  # no failure of a service may end the run
                    failures[name] = f"{type(error).__name__}: {error}"
                    print(
                        f"warning: {name} missed an update of {run.folder}; it will be sent "
                        f"again ({failures[name]})",
                        file=sys.stderr,
                    )
    except OSError as error:
        message = error.strerror or error
        raise GenLabError(f"{run.outbox}: can't be written: {message}") from error
    return failures


def publish(study: StudyFolder) -> None:
    """Run the stage `publish`: send what the services lack of the runs that a study names.

    Folders of models that were removed from the study are left alone.

    Raises:
        GenLabError: a service has not received everything, or `results` can't be written; nothing
            is lost.
    """
    failures = [
        f"{run.folder}: {service}: {message}"
        for run in read_runs(study)
        for service, message in mirror(run, "FINISHED").items()
    ]
    if failures:
        raise GenLabError(
            "\n".join(failures)
            + "\nAll results are complete under results/; run again to send what is missing."
        )
    note_store(study, read_tracking(study.tracking).experiment_of(study.folder.name))


def forget(run: RunFolder) -> None:
    """Delete the run's records and what was sent of them.

    The next update then opens a new run in every service. The stages that follow a training leave
    new records.
    """
    for note in run.outbox.glob("*.json"):
        note.unlink()
