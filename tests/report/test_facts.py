"""The line of facts that the page begins with."""

from __future__ import annotations

import os

import pandas as pd
import pytest
from tiny import TEST, TRAIN, write_costs

from genlab.io.files import read_json, write_json
from genlab.io.history import append_history
from genlab.report.environment import counted
from genlab.report.facts import study_facts, wall_seconds
from genlab.report.study import read_reported_study
from genlab.results.layout import StudyFolder
from genlab.workflow.league import league


@pytest.fixture
def reported(trained_study: StudyFolder) -> StudyFolder:
    write_costs(trained_study)
    league(trained_study)
    return trained_study


def test_facts_are_those_of_the_runs(reported: StudyFolder) -> None:
    run = reported.run("stripes", "ddpm", 0)
    environment = read_json(run.environment) | {"git_commit": "0123456789+changes", "torch": "9.9"}
    write_json(run.environment, environment)
    append_history(run.history, [{"step": 10**6, "time": 4102444800.0, "loss": 1.0}])
    facts = study_facts(read_reported_study(reported))
    assert facts[0] == "2 models"
    sha256 = read_json(run.data.manifest)["sha256"]
    images = f"{TRAIN:,} training and {TEST:,} held-out images"
    assert facts[1] == f"stripes: {images}, data {sha256[:8]}"
    assert "seed 0" in facts and "32 samples a row" in facts
    assert (
        "trained until 1 Jan 2100" in facts
        and f"0 min on {os.cpu_count()} cores, 0 min of jobs" in facts
    )
    (commits,) = [fact for fact in facts if fact.startswith("commit ")]
    assert "0123456+" in commits and " and " in commits
    (versions,) = [fact for fact in facts if fact.startswith("torch ")]
    assert "9.9" in versions and " and " in versions


def test_time_in_which_several_jobs_run_counts_once() -> None:
    # From 0 to 10, 4 to 6 and 8 to 12; then nothing until 20, and a job to 25.
    costs = pd.DataFrame({"seconds": [10, 2, 4, 5], "ended": [10, 6, 12, 25]})
    assert wall_seconds(costs) == 17


def test_nouns_are_counted() -> None:
    assert [counted(n, "run") for n in (1, 2, 1000)] == ["1 run", "2 runs", "1,000 runs"]
