"""Runs a student's file; `genlab.course.run` calls it in a process of its own.

It appends one line to a report after the import, and one of JSON for each exercise, so that the
parent knows how far it came if the student's code ends the process.
"""

from __future__ import annotations

import faulthandler
import json
import linecache
import os
import sys
import types
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from genlab.course.compare import Verdict, judge, where
from genlab.course.exercises import find

MODULE = "answers"
IMPORTED = "imported"
"""The first line of a report."""


def load(file: Path) -> types.ModuleType:
    """Run `file` as a module. What it raises is an error of the student."""
    module = types.ModuleType(MODULE)
    module.__file__ = str(file)
    sys.modules[MODULE] = module
    sys.path.append(str(file.parent))  # at the end: torch.py in that folder is not torch
    linecache.checkcache(str(file))
    exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), module.__dict__)
    return module


def main(
    file: Path, report: Path, clock: Path, seconds: float, numbers: Sequence[str], quiet: bool
) -> None:
    """Judge the answers to the exercises `numbers` in `file`; write the lines of `report`.

    The import and each exercise get `seconds`; after them the process ends, and the stack, which
    names the line, is written to `clock`. With `quiet`, what the code prints is dropped.
    """
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    with (
        report.open("a", encoding="utf-8") as log,
        clock.open("w") as stack,
        Path(os.devnull).open("w") as nowhere,
    ):
        if quiet:
            sys.stdout = sys.stderr = nowhere

        def write(line: str) -> None:
            log.write(line + "\n")
            log.flush()

        def start_clock() -> None:
            # A thread of its own watches, so that code in C is stopped as well.
            faulthandler.dump_traceback_later(seconds, exit=True, file=stack)

        start_clock()
        try:
            module = load(file)
        except (Exception, SystemExit) as error:
            message = json.dumps(asdict(Verdict("error", where(error, file))))
            write("\n".join([IMPORTED, *[message] * len(numbers)]))
        else:
            write(IMPORTED)
            for number in numbers:
                start_clock()
                write(json.dumps(asdict(judge(find(number), module, file))))
        faulthandler.cancel_dump_traceback_later()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)  # without waiting for threads that the student's code has started
