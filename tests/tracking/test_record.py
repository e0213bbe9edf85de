"""The run's own record of what happened: appended to, cut back on resume, never half read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genlab.io.history import append_history, read_history
from genlab.results.layout import RunFolder, StudyFolder
from genlab.tracking.provenance import git_commit
from genlab.tracking.record import artifact_name, flatten, leave_record, read_records

ROWS = [{"step": float(step), "loss": 1 / step} for step in range(1, 6)]


def test_history_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "run/history.jsonl"
    assert read_history(path) == []
    append_history(path, ROWS[:2])
    append_history(path, ROWS[2:])
    assert read_history(path) == ROWS


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_a_kill_cut_off_ends_the_history(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_history(path, ROWS)
    last = len(json.dumps(ROWS[-1])) + 1
    path.write_bytes(path.read_bytes()[: -min(cut + 1, last)])
    assert read_history(path) == ROWS[:-1]


def test_a_stage_s_second_record_replaces_its_first(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "b.png").write_bytes(b"picture")
    leave_record(run, "train", metrics={"loss": 2.0}, artifacts=[tmp_path / "b.png"])
    leave_record(run, "train", metrics={"loss": 1.0}, tags={"git": "abc"})
    leave_record(run, "league_ddim", {"fid": 1.0}, {"steps": 5}, row="ddim", prefix="")
    (run.outbox / "sent_mlflow.json").write_text("{}")
    assert read_records(run) == {
        "train": {"row": None, "metrics": {"final/loss": 1.0}, "params": {},
                  "tags": {"git": "abc"}, "artifacts": {}},
        "league_ddim": {"row": "ddim", "metrics": {"fid": 1.0}, "params": {"steps": 5},
                        "tags": {}, "artifacts": {}},
    }  # fmt: skip


def test_artifacts_of_the_study_are_called_by_their_own_name(tmp_path: Path) -> None:
    run = StudyFolder(tmp_path / "study").run("stripes", "vae", 0)
    run.folder.mkdir(parents=True)
    for path in (run.study.league, run.config):
        path.write_text("content")
    leave_record(run, "league", artifacts=[run.study.league, run.config])
    paths = read_records(run)["league"]["artifacts"]
    assert [artifact_name(path) for path in paths] == ["league.csv", "config.yaml"]
    assert [(run.folder / path).read_text() for path in paths] == ["content"] * 2


def test_nested_mappings_become_dotted_keys() -> None:
    nested = {"a": 1, "b": {"c": [2], "d": {"e": None}}, "f": {}}
    assert flatten(nested) == {"a": 1, "b.c": [2], "b.d.e": None}


def test_outside_a_checkout_the_commit_is_unknown(tmp_path: Path) -> None:
    assert git_commit(tmp_path) == "unknown"
