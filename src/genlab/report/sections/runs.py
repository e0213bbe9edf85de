"""The section on runs: settings, environment, costs and commands of every trained model."""

from __future__ import annotations

from typing import Any

from genlab.io.files import read_json
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file, run_label
from genlab.results.layout import RunFolder


def run_anchor(run: RunFolder) -> str:
    """Return the id of a run on the page."""
    return f"run-{run.dataset}-{run.model_name}-{run.folder.name}"


class RunsSection(Section):
    """One folded part for each run."""

    title = "Runs"
    order = 165
    introduction = (
        "What each model was trained with, and the commands that train it and draw its samples "
        "again. Its curves are in the tracking interface: <code>make ui</code>."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {"runs": [_run(study, run) for run in study.runs]}


def _run(study: ReportedStudy, run: RunFolder) -> dict[str, Any]:
    rows = study.league[
        (study.league["dataset"] == run.dataset) & (study.league["model"] == run.model_name)
    ]
    environment = read_json(run.environment)
    summary = read_run_file(run, run.summary)
    rate = summary["learning_rate"]  # half that of the config after a retry
    shared = f" --processes {summary['processes']}" if summary["processes"] > 1 else ""
    return {
        "anchor": run_anchor(run),
        "title": run_label(run),
        "config": run.config.read_text(encoding="utf-8"),
        "environment": environment | read_json(run.cost) | {"learning_rate": rate},
        # Another number of threads gives other bytes.
        "train": f"OMP_NUM_THREADS={environment['threads']} "
        f"genlab train --config {run.config}{shared}",
        "checks": [
            f"genlab verify-row {run.model_name} {row} --study {study.settings.name}"
            for row in dict.fromkeys(rows["sampler"])
        ],
    }
