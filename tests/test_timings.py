"""GENLAB_TIMINGS: every command leaves a line that says when its process and its stage began."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from genlab.results.layout import StudyFolder


@pytest.fixture
def timings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """`timings()` are the lines that the commands of this test have left."""
    file = tmp_path / "timings.jsonl"
    monkeypatch.setenv("GENLAB_TIMINGS", str(file))
    return lambda: [json.loads(line) for line in file.read_text().splitlines()]


def test_a_stage_lies_between_the_start_and_the_end_of_its_command(
    tiny_study: Callable[..., StudyFolder],
    genlab: Callable[..., Any],
    timings: Callable[[], list[dict[str, Any]]],
) -> None:
    config = tiny_study().data("stripes").config
    called = time.time()
    genlab("fetch", "--config", config)
    genlab("prepare", "--config", config)
    ended = time.time()
    fetch, prepare = timings()
    assert [fetch["stage"], prepare["stage"]] == ["fetch", "prepare"]
    times = [called, fetch["begun"], fetch["ended"], prepare["begun"], prepare["ended"], ended]
    assert times == sorted(times)
    # psutil adds the machine's boot time, which the kernel states in whole seconds.
    assert fetch["process"] == pytest.approx(psutil.Process().create_time(), abs=1.02)
    # Two readings of one clock in hundredths, each taken against the wall clock.
    assert fetch["process"] == pytest.approx(prepare["process"], abs=0.02)


def test_a_stage_that_fails_is_noted_too(
    tiny_study: Callable[..., StudyFolder],
    genlab: Callable[..., Any],
    timings: Callable[[], list[dict[str, Any]]],
) -> None:
    run = tiny_study().run("stripes", "vae", 0)
    assert genlab("reconstruct", "--config", run.config).status == 1  # it isn't trained yet
    assert [line["stage"] for line in timings()] == ["reconstruct"]
