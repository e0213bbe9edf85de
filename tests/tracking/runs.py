"""What a training leaves in a run's folder, and what MLflow has of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run

from genlab.data.pictures import save_grid
from genlab.io.history import append_history
from genlab.results.layout import RunFolder, StudyFolder
from genlab.tracking.record import leave_record

Study = Callable[..., StudyFolder]
PARENT = "mlflow.parentRunId"


def log(run: RunFolder, first: int, last: int) -> None:
    """What a training logs at the steps first..last."""
    rows = [{"step": s, "time": 1e9 + s, "loss": 1 / s, "lr": 0.1} for s in range(first, last + 1)]
    append_history(run.history, rows)


def begin(run: RunFolder) -> None:
    """What a training leaves in its folder after three steps."""
    log(run, 1, 3)
    leave_record(run, "config", params={"seed": 0, "model.family": "vae"}, tags={"git": "abc"})


def draw(run: RunFolder, row: str) -> Path:
    """What the league leaves of `row`: a record with a picture, whose path this returns."""
    grid = run.samples(row).grid
    save_grid(grid, np.zeros((4, 1, 8, 8), np.uint8), columns=2)
    metrics = {"nfe": 1.0, "pixel-pca/fid": 2.0}
    leave_record(run, f"league_{row}", metrics=metrics, artifacts=[grid], row=row, prefix="")
    return grid


def runs_in(uri: str, experiment: str = "genlab-tiny") -> list[Run]:
    """The MLflow runs of an experiment, without those of rows and those that were deleted."""
    return [run for run in all_runs(uri, experiment) if PARENT not in run.data.tags]


def rows_in(uri: str, experiment: str = "genlab-tiny") -> dict[str, Run]:
    """The MLflow runs of the rows of an experiment that has one model, by sampler."""
    runs = [run for run in all_runs(uri, experiment) if PARENT in run.data.tags]
    named = {run.data.tags["sampler"]: run for run in runs}
    assert len(named) == len(runs)
    return named


def all_runs(uri: str, experiment: str) -> list[Run]:
    client = MlflowClient(tracking_uri=uri)
    result = client.get_experiment_by_name(experiment)
    return list(client.search_runs([result.experiment_id])) if result else []


def local(run: RunFolder) -> str:
    return f"sqlite:///{run.study.results}/mlflow.db"


def history(uri: str, run_id: str, metric: str) -> list[tuple[int, float]]:
    """(step, value) of every value that MLflow has of a metric."""
    points = MlflowClient(tracking_uri=uri).get_metric_history(run_id, metric)
    return [(m.step, m.value) for m in points]
