"""A lock that allows one workflow per folder, and that a killed workflow does not leave behind.

Snakemake marks the files of a running workflow under .snakemake/locks. The marks of a killed
workflow remain and do not name their process. Therefore the process that plans or runs a workflow
also holds a file lock, which the kernel releases when the process ends. Marks without that lock
are stale.
"""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from genlab.errors import GenLabError

PLANNING_SECONDS = 5.0  # how long to wait for another process that plans a workflow


def _alive(process: str) -> bool:
    """Return whether a process with the number `process` runs on this machine."""
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # a process of another user
        return True
    return True


class WorkflowLock:
    """The lock of Snakemake's working folder, held until the process ends."""

    def __init__(self, state: Path = Path(".snakemake")) -> None:
        self.marks, self.holder = state / "locks", state / "genlab.pid"
        self.lock = FileLock(state / "genlab.lock")

    def _running(self) -> str | None:
        """Return the number of the process that runs a workflow here; None if there is none."""
        with suppress(OSError):
            number = self.holder.read_text(encoding="utf-8")
            return number if _alive(number) else None
        return None

    def _acquire(self, seconds: float) -> None:
        """Acquire the lock, or wait for it.

        Raises:
            Timeout: another process holds it; a subclass of OSError.
            OSError: the lock file can't be opened or locked.
            NotImplementedError: from filelock before 4, where the file system has no locks.
        """
        self.marks.parent.mkdir(exist_ok=True)
        self.lock.acquire(timeout=seconds)

    def plan(self) -> None:
        """Acquire the lock if it is free, and remove the marks of a killed workflow.

        If a workflow runs, nothing is done; Snakemake's own marks prevent conflicts. Nor is
        anything done where the lock doesn't work: `run` reports that.
        """
        try:
            self._acquire(0 if self._running() else PLANNING_SECONDS)
        except (OSError, NotImplementedError):
            return
        if any(self.marks.glob("*.lock")):
            print(
                "note: the last workflow in this folder was killed; its lock is removed",
                file=sys.stderr,
            )
            shutil.rmtree(self.marks)

    def run(self) -> None:
        """Hold the lock until this process ends, to run a workflow.

        Raises:
            GenLabError: another process plans or runs a workflow, or the lock doesn't work.
        """
        if not self.lock.is_locked:
            try:
                self._acquire(PLANNING_SECONDS)
            except Timeout:
                raise GenLabError(
                    f"process {self._running() or '?'} plans or runs a workflow in this folder; "
                    "wait for it or end it, then run again"
                ) from None
            except (OSError, NotImplementedError) as error:
                reason = getattr(error, "strerror", error)
                raise GenLabError(f"{self.lock.lock_file}: can't be locked: {reason}") from None
        self.holder.write_text(str(os.getpid()), encoding="utf-8")
