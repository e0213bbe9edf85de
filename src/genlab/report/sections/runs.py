"""The section on runs: settings, environment, costs and commands of every trained model."""

from __future__ import annotations

from typing import Any

import numpy as np

from genlab.config.study import Study
from genlab.io.files import read_json
from genlab.io.history import Row, read_history
from genlab.report.league import NO_SAMPLER
from genlab.report.pictures import strip
from genlab.report.sections import Section
from genlab.report.sections.losses import late_range
from genlab.report.study import ReportedStudy, read_run_file, run_label
from genlab.results.layout import RunFolder

MOST = 60
"""Largest number of runs that are shown with samples."""
WIDTH, HEIGHT, POINTS = 300, 60, 100
"""Width and height of a loss curve in pixels, and its largest number of points."""


def run_anchor(run: RunFolder) -> str:
    """Return the id of a run on the page."""
    return f"run-{run.dataset}-{run.model_name}-{run.folder.name}"


class RunsSection(Section):
    """One folded part for each run."""

    title = "Runs"
    order = 165
    introduction = (
        "What each model was trained with, its first samples, its training loss, and the commands "
        "that train it and draw its samples again. The tracking interface has all of its curves "
        "under the same name: <code>make ui</code>."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        runs = [_run(study, run) for run in study.runs]
        return {"runs": runs, "width": WIDTH, "height": HEIGHT}


def _run(study: ReportedStudy, run: RunFolder) -> dict[str, Any]:
    rows = study.league[
        (study.league["dataset"] == run.dataset) & (study.league["model"] == run.model_name)
    ]
    environment = read_json(run.environment)
    summary = read_run_file(run, run.summary)
    samplers = [row for row in dict.fromkeys(rows["sampler"]) if row != NO_SAMPLER]
    shown = samplers if len(study.runs) <= MOST else []
    rate = summary["learning_rate"]  # half that of the config after a retry
    option = f" --processes {summary['processes']}" if summary["processes"] > 1 else ""
    return {
        "anchor": run_anchor(run),
        "title": run_label(run),
        "config": run.config.read_text(encoding="utf-8"),
        "environment": environment | read_json(run.cost) | {"learning_rate": rate},
        # Another number of threads gives other bytes.
        "train": f"OMP_NUM_THREADS={environment['threads']} "
        f"genlab train --config {run.config}{option}",
        "checks": [verify_command(study.settings, run, row) for row in samplers],
        "strips": [(row, strip(run.samples(row), f"{run_label(run)}, {row}")) for row in shown],
        "loss": loss_line(read_history(run.history)),
    }


def verify_command(settings: Study, run: RunFolder, row: str) -> str:
    """Return the command that verifies a row; the first data set and seed need no option."""
    dataset, seed = next(iter(settings.datasets)), f"seed{settings.seeds[0]}"
    command = f"genlab verify-row {run.model_name} {row} --study {settings.name}"
    if run.dataset != dataset:
        command += f" --dataset {run.dataset}"
    if run.folder.name != seed:
        command += f" --seed {run.folder.name.removeprefix('seed')}"
    return command


def loss_line(history: list[Row]) -> str:
    """The training loss as the points of an SVG polyline in WIDTH x HEIGHT pixels."""
    stride = -(-len(history) // POINTS)
    rows = history[::stride]
    losses = np.array([row["loss"] for row in rows])
    low, high = late_range(losses)
    x = WIDTH * np.array([row["step"] for row in rows]) / rows[-1]["step"]
    y = HEIGHT * (1 - np.clip((losses - low) / max(high - low, np.finfo(float).tiny), 0, 1))
    return " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True))
