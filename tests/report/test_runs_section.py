"""The section on runs: pictures, loss, and commands."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import STUDY, write_costs

from genlab.config.base import merge
from genlab.config.study import load_study
from genlab.report.league import NO_SAMPLER
from genlab.report.sections.runs import (
    HEIGHT,
    POINTS,
    WIDTH,
    RunsSection,
    loss_line,
    verify_command,
)
from genlab.report.study import ReportedStudy, read_reported_study
from genlab.results.layout import SampleFolder, StudyFolder
from genlab.results.spec import study_specs, write_specs
from genlab.results.stages import rows_of
from genlab.workflow import verify
from genlab.workflow.league import league


def test_the_line_runs_from_the_first_step_to_the_last_and_cuts_off_the_first_losses() -> None:
    """Losses 100, 100 ... and then from 2 down to 1."""
    losses = [100.0] * 10 + list(np.linspace(2, 1, 390))
    line = loss_line([{"step": i + 1.0, "loss": loss} for i, loss in enumerate(losses)])
    x, y = np.array([point.split(",") for point in line.split()], float).T
    assert len(x) == POINTS
    assert (x[0], x[-1]) == (1, WIDTH)
    assert (y[0], y[-1]) == (0, HEIGHT)
    assert (np.diff(y) >= 0).all()


def test_every_command_verifies_its_own_row(
    tmp_path: Path, tiny_config: Path, genlab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two data sets and two seeds; the options that the command line would choose are left out."""
    config = shutil.copytree(tiny_config, tmp_path / "config")
    shutil.copy(config / "datasets/stripes.yaml", config / "datasets/spots.yaml")
    changes = {"datasets": ["stripes", "spots"], "seeds": [3, 5]}
    settings = load_study(merge(STUDY, changes), config, "tiny.yaml")
    write_specs(study_specs(settings, tmp_path / "results"))
    verified: list[SampleFolder] = []
    monkeypatch.setattr(verify, "verify_row", lambda at, cpu: verified.append(at))
    monkeypatch.chdir(tmp_path)
    study = ReportedStudy(StudyFolder(Path("results/tiny")), settings, pd.DataFrame())
    rows = [run.samples(row) for run in study.runs for row in rows_of(settings, run.model_name)]
    commands = [verify_command(settings, row.run, row.folder.name) for row in rows]
    for command in commands:
        program, *arguments = command.split()
        assert (program, genlab(*arguments).status) == ("genlab", 0)
    assert verified == rows and len(rows) == 2 * 2 * 2
    assert commands[0] == "genlab verify-row vae prior --study tiny"
    assert commands[-1] == ("genlab verify-row ddpm ddim-3 --study tiny --dataset spots --seed 5")


def test_every_run_has_its_pictures_and_commands(trained_study: StudyFolder) -> None:
    write_costs(trained_study)
    league(trained_study)
    runs = RunsSection().read(read_reported_study(trained_study))["runs"]
    assert [[row for row, _ in run["strips"]] for run in runs] == [["prior"], ["ddim-3"]]
    for run in runs:
        assert all(strip.uri.startswith("data:image/") for _, strip in run["strips"])
        assert not any(f" {NO_SAMPLER} " in command for command in run["checks"])
