"""Judges a student's file in a process of its own, with a time limit."""

from __future__ import annotations

import json
import multiprocessing
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from genlab.course import SECONDS, child
from genlab.course.compare import Verdict
from genlab.errors import GenLabError


def check_file(
    file: Path, numbers: Sequence[str], seconds: float = SECONDS, quiet: bool = False
) -> dict[str, Verdict]:
    """Verdicts on the answers to the exercises `numbers` in a student's `file`, by number.

    The code runs as this user, without a sandbox. A time limit ends it, and the exercises after
    the one that took too long are judged in another process. With `quiet`, what the code prints
    is dropped.

    Raises:
        GenLabError: there is no such file, or it is no Python file.
    """
    if not file.is_file():
        problem = "a folder; use --all for one" if file.is_dir() else "no such file"
        raise GenLabError(f"{file}: {problem}")
    if file.suffix != ".py":
        raise GenLabError(f"{file}: not a Python file; save the function in a file NAME.py")
    verdicts: dict[str, Verdict] = {}
    while len(verdicts) < len(numbers):
        rest = list(numbers[len(verdicts) :])
        lines, failure = _run(file.resolve(), rest, seconds, quiet)
        if not lines:  # not even the import came to its end
            return verdicts | dict.fromkeys(rest, failure)
        reported = [Verdict(**json.loads(line)) for line in lines[1:]]
        verdicts |= dict(zip(rest, [*reported, failure], strict=False))
    return verdicts


def _run(file: Path, numbers: list[str], seconds: float, quiet: bool) -> tuple[list[str], Verdict]:
    """Lines of the report until the process ended, and the verdict on what it did not get to."""
    sys.stdout.flush()
    with tempfile.TemporaryDirectory() as folder:
        report, clock = Path(folder) / "report.jsonl", Path(folder) / "clock.txt"
        for path in (report, clock):
            path.touch()
        # A fork has imported torch already, which otherwise takes seconds.
        process = multiprocessing.get_context("fork").Process(
            target=child.main, args=(file, report, clock, seconds, numbers, quiet)
        )
        process.start()
        try:  # The process watches its own clock; the limit here is for a stopped one.
            process.join(10 + 2 * seconds * (len(numbers) + 1))
            late = process.is_alive()
        finally:
            process.kill()
            process.join()
        lines = report.read_text(encoding="utf-8").splitlines()
        stack = clock.read_text(encoding="utf-8", errors="replace")
    if stack or late:
        place = re.search(rf'File "{re.escape(str(file))}", line (\d+)', stack)
        line = f", in line {place[1]} of {file.name}" if place else ""
        message = f"stopped after {seconds:g} s{line}: is there a loop that never ends?"
        return lines, Verdict("timeout", message)
    message = f"the process ended with status {process.exitcode} before there was a result"
    return lines, Verdict("error", message)
