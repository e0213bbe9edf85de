"""MLflow, as one run for each (study, data set, model, seed).

The store is MLFLOW_TRACKING_URI, or SQLite and a folder of artifacts under results/. Several
processes that create the same SQLite store at once crash inside MLflow, so it is made under a
lock, whoever comes first.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from genlab.config.layout import RunFolder, StudyFolder
from genlab.config.spec import RunSpec, read_tracking
from genlab.config.study import TrackingConfig
from genlab.data.files import write_json
from genlab.tracking.mirror import Status
from genlab.tracking.record import Row

# A server that doesn't answer must not hold up a training for MLflow's default of minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def store_uri(results: Path) -> str:
    """The address of the tracking store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{results.resolve()}/mlflow.db"


def _client(results: Path, experiment: str) -> tuple[Any, str]:
    """A client of the store and the id of the experiment, both made if they don't exist yet."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    uri = store_uri(results)
    local = uri.startswith("sqlite:")
    artifacts = (results.resolve() / "mlflow-artifacts").as_uri() if local else None
    lock: AbstractContextManager[Any] = nullcontext()
    if local:
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(uri.removeprefix("sqlite:///") + ".lock")
    with lock:
        client = MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name(experiment)
        if found is not None:
            return client, found.experiment_id
        return client, client.create_experiment(experiment, artifact_location=artifacts)


def prepare_store(study: StudyFolder) -> None:
    """The stage `store`: make the store and the experiment before any run needs them."""
    tracking = read_tracking(study.tracking)
    experiment = tracking.experiment or study.folder.name
    local = store_uri(study.results).startswith("sqlite:")
    try:
        _client(study.results, experiment)
    except Exception as error:
        if local:
            raise
        print(f"warning: the MLflow server can't be reached now ({error}); the runs are kept "
              "under results/ and sent when it can", file=sys.stderr)  # fmt: skip
    write_json(study.store, {"experiment": experiment})


class MlflowSink:
    """One run of MLflow, opened to append."""

    def __init__(self, client: Any, run_id: str) -> None:
        self.client = client
        self.id = run_id

    def steps(self, rows: list[Row]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, int(row["time"] * 1000), int(row["step"]))
            for row in rows
            for name, value in row.items()
            if name not in ("step", "time")
        ]
        self.client.log_batch(self.id, metrics=metrics)  # cut by MLflow to the server's limit

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        from mlflow.entities import Metric, Param, RunTag

        for path in record["artifacts"]:  # first: a file sent again replaces itself
            below = Path(path).parent
            at = str(below) if below.parts else None  # MLflow refuses '.'
            self.client.log_artifact(self.id, str(folder / path), at)
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


def open_run(
    run: RunFolder, spec: RunSpec, tracking: TrackingConfig, run_id: str | None
) -> MlflowSink:
    """The run `run_id`, or a new one."""
    results = run.study.results
    client, experiment = _client(results, tracking.experiment or spec.study)
    if run_id is None:
        name = f"{spec.dataset}/{spec.name}/seed{spec.seed}"
        run_id = client.create_run(experiment, run_name=name).info.run_id
    return MlflowSink(client, run_id)


class SystemMetrics:
    """CPU, memory and GPU use, sampled by MLflow's own monitor into the run while it trains."""

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
