"""One workflow at a time in a folder; real processes hold the lock, and are killed."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

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


def a_folder_in_its_place(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.mkdir(parents=True)


def a_file_in_place_of_its_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.write_text("")


def a_file_system_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS without its lock service."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", flock)


def a_file_of_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def acquire(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(FileLock, "acquire", acquire)


@pytest.mark.parametrize(
    ("obstruct", "number"),
    [
        (a_folder_in_its_place, errno.EISDIR),
        (a_file_in_place_of_its_folder, errno.EEXIST),
        (a_file_system_without_locks, errno.ENOLCK),
        (a_file_of_another_user, errno.EACCES),
    ],
)
def test_a_lock_that_does_not_work_is_named_when_a_workflow_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    obstruct: Callable[[Path, pytest.MonkeyPatch], None],
    number: int,
) -> None:
    """A study is planned without it, as `snakemake -n` does."""
    path = tmp_path / ".snakemake" / "genlab.lock"
    obstruct(path, monkeypatch)
    lock = WorkflowLock(path.parent)
    lock.plan()
    message = f"{path}: can't be locked: {os.strerror(number)}"
    with pytest.raises(GenLabError, match=f"^{re.escape(message)}$"):
        lock.run()
