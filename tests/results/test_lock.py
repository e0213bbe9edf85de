"""One workflow at a time in a folder; real processes hold the lock, and are killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genlab.errors import GenLabError
from genlab.results.lock import WorkflowLock

HOLDER = """
import sys, time
from pathlib import Path
from genlab.results.lock import WorkflowLock

lock = WorkflowLock(Path(sys.argv[1]))
lock.plan()
if sys.argv[2] == "run":
    lock.run()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder `.snakemake` in which a workflow has marked what it uses."""
    state = tmp_path / ".snakemake"
    (state / "locks").mkdir(parents=True)
    (state / "locks" / "0.output.lock").write_text("results/x\n")
    return state


@pytest.fixture
def holder(state: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """`holder("plan")` and `holder("run")` are other processes that hold the lock."""
    begun: list[subprocess.Popen[str]] = []

    def begin(purpose: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", HOLDER, str(state), purpose]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        (state / "locks").mkdir(exist_ok=True)  # what Snakemake does once it has planned
        (state / "locks" / "0.output.lock").write_text("results/x\n")
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def marked(state: Path) -> bool:
    return (state / "locks" / "0.output.lock").exists()


def test_marks_that_nobody_holds_are_removed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    WorkflowLock(state).plan()
    assert not marked(state)
    assert capsys.readouterr().err == (
        "note: the last workflow in this folder was killed; its lock is removed\n"
    )


def test_marks_of_a_workflow_that_runs_stay(
    state: Path, holder: Callable[[str], subprocess.Popen[str]]
) -> None:
    process = holder("run")
    second = WorkflowLock(state)
    second.plan()
    assert marked(state)
    with pytest.raises(GenLabError, match=f"process {process.pid} plans or runs a workflow"):
        second.run()


@pytest.mark.parametrize("purpose", ["plan", "run"])
def test_marks_of_a_killed_workflow_are_removed(
    state: Path, holder: Callable[[str], subprocess.Popen[str]], purpose: str
) -> None:
    process = holder(purpose)
    process.send_signal(signal.SIGKILL)
    process.wait()
    lock = WorkflowLock(state)
    lock.plan()
    assert not marked(state)
    lock.run()


def test_a_folder_that_cannot_be_written_is_planned_in_all_the_same(tmp_path: Path) -> None:
    """Its specs can't be written either, which is said when they are."""
    (tmp_path / "file").write_text("")
    WorkflowLock(tmp_path / "file").plan()
