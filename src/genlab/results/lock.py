"""One workflow at a time in a folder, and none that a killed one keeps out.

A running Snakemake marks the files that it uses under .snakemake/locks. After a kill the marks
stay, and don't say whose they were. Here the process that plans or runs a workflow holds a lock of
the kernel as well, which ends with the process, however it ends. Marks that stay while nobody
holds that lock belong to a process that is gone.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from genlab.errors import GenLabError

PLANNING_SECONDS = 5.0  # how long another process may plan before this one goes on without it


def _alive(process: str) -> bool:
    """Whether a process of this machine has the number `process`."""
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # of another user
        return True
    return True


class WorkflowLock:
    """The lock of the folder that Snakemake was called in; held until the process ends."""

    def __init__(self, state: Path = Path(".snakemake")) -> None:
        self.marks, self.holder = state / "locks", state / "genlab.pid"
        self.lock = FileLock(state / "genlab.lock")

    def _running(self) -> str | None:
        """The number of the process that runs a workflow here, if one does."""
        with suppress(OSError):
            number = self.holder.read_text(encoding="utf-8")
            return number if _alive(number) else None
        return None

    def _take(self, seconds: float) -> bool:
        try:
            self.marks.parent.mkdir(exist_ok=True)
            self.lock.acquire(timeout=seconds)
        except (Timeout, OSError, NotImplementedError):  # held, or a file system without locks
            return False
        return True

    def plan(self) -> None:
        """Take the lock if it is free, and remove the marks of a workflow that was killed.

        A workflow that runs is left alone: Snakemake's own marks then say what can't be run.
        """
        if not self._take(0 if self._running() else PLANNING_SECONDS):
            return
        if any(self.marks.glob("*.lock")):
            print("note: the last workflow here was killed; its lock is removed", file=sys.stderr)
            shutil.rmtree(self.marks)

    def run(self) -> None:
        """Hold the lock from here on, as the one that runs a workflow.

        Raises:
            GenLabError: another process plans or runs one.
        """
        if not self.lock.is_locked and not self._take(PLANNING_SECONDS):
            raise GenLabError(
                f"process {self._running() or '?'} plans or runs a workflow in this folder; wait "
                "for it, or end it, then run again"
            )
        self.holder.write_text(str(os.getpid()), encoding="utf-8")
