"""MLflow: one run for each (study, data set, model, seed)."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genlab.config.study import TrackingConfig
from genlab.io.history import Row
from genlab.results.layout import RunFolder
from genlab.results.spec import RunSpec
from genlab.tracking.mlflow_store import artifact_folder, connect, store_uri
from genlab.tracking.sink import Sink, Status


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
    """A run of MLflow."""

    def __init__(self, run: RunFolder, spec: RunSpec, tracking: TrackingConfig) -> None:
        experiment = tracking.experiment or spec.study
        self.client, self.experiment = open_experiment(run.study.results, experiment)
        self.name = f"{spec.dataset}/{spec.name}/seed{spec.seed}"

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
            run_id = self.client.create_run(self.experiment, run_name=self.name).info.run_id
        self.id = run_id

    def steps(self, rows: list[Row]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, int(row["time"] * 1000), int(row["step"]))
            for row in rows
            for name, value in row.items()
            if name not in ("step", "time")
        ]
        self.client.log_batch(self.id, metrics=metrics)  # MLflow splits it by the server's limit

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        from mlflow.entities import Metric, Param, RunTag

        for path in record["artifacts"]:  # first, because a file that is sent again is replaced
            parent = Path(path).parent
            target = str(parent) if parent.parts else None  # MLflow refuses '.'
            self.client.log_artifact(self.id, str(folder / path), target)
        now = int(time.time() * 1000)
        self.client.log_batch(
            self.id,
            metrics=[Metric(k, float(v), now, 0) for k, v in record["metrics"].items()],
            params=[Param(k, str(v)) for k, v in record["params"].items()],
            tags=[RunTag(k, str(v)) for k, v in record["tags"].items()],
        )

    def close(self, status: Status) -> None:
        if status == "RUNNING":
            self.client.update_run(self.id, status)
        else:
            self.client.set_terminated(self.id, status)


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
