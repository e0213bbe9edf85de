"""MLflow: one run for each (study, data set, model, seed), and one below it for each row."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, overload

from genlab.config.study import TrackingConfig
from genlab.io.files import read_json
from genlab.io.history import Row
from genlab.results.layout import RunFolder
from genlab.results.spec import RunSpec
from genlab.tracking.description import (
    row_note,
    row_tags,
    run_name,
    run_note,
    run_role,
    run_tags,
    sampling_times,
    training_end,
    training_start,
)
from genlab.tracking.mlflow_store import artifact_folder, connect, find_child, store_uri
from genlab.tracking.pyfunc import write_mlflow_model
from genlab.tracking.record import artifact_name, step_metrics
from genlab.tracking.sink import Sink, Status

DIGEST_LENGTH = 36
"""Longest digest of a data set that MLflow takes; the tag `dataset_sha256` has all of it."""


@contextmanager
def _ignoring(code: str) -> Iterator[None]:
    """End the block without an error if MLflow refuses with the error code `code`."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise


def open_experiment(results: Path, name: str) -> tuple[Any, str]:
    """Return a client of the store and the id of the experiment, which is created if necessary.

    An experiment that was deleted in MLflow's interface still occupies its name, so it is restored.
    """
    with connect(results) as client:
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            artifacts = artifact_folder(store_uri(results))
            location = artifacts.as_uri() if artifacts else None
            with _ignoring("RESOURCE_ALREADY_EXISTS"):  # by another client of the server
                return client, client.create_experiment(name, artifact_location=location)
            experiment = client.get_experiment_by_name(name)
        if experiment.lifecycle_stage == "deleted":
            with _ignoring("RESOURCE_DOES_NOT_EXIST"):  # restored by another client
                client.restore_experiment(experiment.experiment_id)
            print(
                f"note: the deleted MLflow experiment '{name}' is restored; set "
                "`tracking: {experiment: NAME}` in the study to use another one",
                file=sys.stderr,
            )
        return client, experiment.experiment_id


class MlflowSink(Sink):
    """A run of MLflow, and one below it for each row of its samples."""

    def __init__(self, run: RunFolder, spec: RunSpec, tracking: TrackingConfig) -> None:
        experiment = tracking.experiment_of(spec.study)
        self.client, self.experiment = open_experiment(run.study.results, experiment)
        self.run, self.spec = run, spec

    @classmethod
    def enabled(cls, tracking: TrackingConfig) -> bool:
        return True

    def find(self, ids: Sequence[str]) -> str | None:
        for run_id in reversed(ids):
            with _ignoring("RESOURCE_DOES_NOT_EXIST"):
                info = self.client.get_run(run_id).info
                if info.lifecycle_stage == "active" and info.experiment_id == self.experiment:
                    return run_id
        return None

    def open(self, run_id: str | None) -> None:
        if run_id is None:
            tags = {"mlflow.note.content": run_note(self.spec), **run_tags(self.spec)}
            source = f"genlab train --config {self.run.config}"
            start = training_start(self.run)
            run_id = self._create(run_name(self.spec), source, start, tags)
        self.id = run_id

    def _create(self, name: str, source: str, start: float | None, tags: dict[str, str]) -> str:
        """Create a run, as of now where its start is not known, and return its id."""
        from mlflow.tracking.context.default_context import DefaultRunContext

        tags = {**DefaultRunContext().tags(), "mlflow.source.name": source, **tags}
        run = self.client.create_run(
            self.experiment, start_time=_milliseconds(start), tags=tags, run_name=name
        )
        return str(run.info.run_id)

    def _run_of_row(self, row: str) -> str:
        """Return the id of the run of a row, which is created if necessary."""
        child = find_child(self.client, self.experiment, self.id, row)
        if child is not None:
            return str(child.info.run_id)
        at = self.run.samples(row)
        tags = {
            "mlflow.parentRunId": self.id,
            "mlflow.note.content": row_note(self.spec, row),
            **row_tags(self.spec, row),
        }
        source, (start, end) = f"genlab sample --config {at.config}", sampling_times(at)
        run_id = self._create(f"{run_name(self.spec)}/{row}", source, start, tags)
        self.client.set_terminated(run_id, "FINISHED", _milliseconds(end))
        return run_id

    def steps(self, rows: list[Row]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, _milliseconds(row["time"]), int(row["step"]))
            for row in rows
            for name, value in step_metrics(row).items()
        ]
        self.client.log_batch(self.id, metrics=metrics)  # MLflow splits it by the server's limit

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        from mlflow.entities import Metric, Param, RunTag

        if stage == "config":
            self._log_inputs()
        elif stage == "league" and run_role(self.spec) == "model":
            self._log_model()
        run_id = self.id if record["row"] is None else self._run_of_row(record["row"])
        for path in record["artifacts"]:  # first, because a file that is sent again is replaced
            parent = PurePath(artifact_name(path)).parent
            target = str(parent) if parent.parts else None  # MLflow refuses '.'
            self.client.log_artifact(run_id, os.path.normpath(folder / path), target)
        now = _milliseconds(time.time())
        self.client.log_batch(
            run_id,
            metrics=[Metric(k, float(v), now, 0) for k, v in record["metrics"].items()],
            params=[Param(k, str(v)) for k, v in record["params"].items()],
            tags=[RunTag(k, str(v)) for k, v in record["tags"].items()],
        )

    def _log_inputs(self) -> None:
        """Log the spec and the data set of the run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        self.client.log_artifact(self.id, str(self.run.config))
        digest = read_json(self.run.data.manifest)["sha256"][:DIGEST_LENGTH]
        source = json.dumps({"uri": str(self.run.data.folder)})
        dataset = Dataset(self.spec.dataset, digest, "local", source)
        context = InputTag("mlflow.data.context", "training")
        inputs = [DatasetInput(dataset, [context])]
        try:
            self.client.log_inputs(self.id, datasets=inputs)
        except MlflowException:  # another process has added the same data set at this moment
            self.client.log_inputs(self.id, datasets=inputs)

    def _log_model(self) -> None:
        """Log the trained model as `model`, so that MLflow loads it."""
        with TemporaryDirectory(prefix="genlab-model-") as scratch:
            folder = Path(scratch) / "model"
            write_mlflow_model(folder, self.run.weights)
            self.client.log_artifacts(self.id, str(folder), folder.name)

    def close(self, status: Status) -> None:
        if status == "RUNNING":
            self.client.update_run(self.id, status)
        else:
            end = _milliseconds(training_end(self.run))
            self.client.set_terminated(self.id, status, end)


@overload
def _milliseconds(seconds: float) -> int: ...
@overload
def _milliseconds(seconds: float | None) -> int | None: ...
def _milliseconds(seconds: float | None) -> int | None:
    """A time as MLflow takes it; None, which stands for now, stays None."""
    return None if seconds is None else int(seconds * 1000)


class SystemMetrics:
    """Logs the use of CPU, memory and GPU to an MLflow run, with MLflow's own monitor."""

    def __init__(self, run: RunFolder, run_id: str, seconds: float = 10.0) -> None:
        import mlflow
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        logging.getLogger("mlflow.system_metrics").setLevel(logging.WARNING)
        mlflow.set_tracking_uri(store_uri(run.study.results))
        self.monitor = SystemMetricsMonitor(
            run_id, sampling_interval=seconds, samples_before_logging=1, resume_logging=True
        )
        self.monitor.start()

    def stop(self) -> None:
        """End the monitor's thread."""
        self.monitor.finish()
