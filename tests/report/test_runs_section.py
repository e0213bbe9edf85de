"""The section on runs: pictures, loss, and commands."""

from __future__ import annotations

import numpy as np
from tiny import write_costs

from genlab.report.league import NO_SAMPLER
from genlab.report.sections.runs import HEIGHT, POINTS, WIDTH, RunsSection, loss_line
from genlab.report.study import read_reported_study
from genlab.results.layout import StudyFolder
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


def test_every_run_has_its_pictures_and_commands(trained_study: StudyFolder) -> None:
    write_costs(trained_study)
    league(trained_study)
    runs = RunsSection().read(read_reported_study(trained_study))["runs"]
    assert [[row for row, _ in run["strips"]] for run in runs] == [["prior"], ["ddim-3"]]
    for run in runs:
        assert all(strip.uri.startswith("data:image/") for _, strip in run["strips"])
        assert not any(f" {NO_SAMPLER} " in command for command in run["checks"])
