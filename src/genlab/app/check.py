"""`genlab check`: lists the course's exercises, checks an answer, grades a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from genlab.course.exercises import exercises, find
from genlab.course.grade import grade, table, write_csv
from genlab.course.run import check_file
from genlab.errors import GenLabError


def list_exercises() -> None:
    """Print number, title and function of every exercise."""
    for number, exercise in exercises().items():
        print(f"{number:5} {exercise.title}\n      {exercise.signature}")


def print_template(number: str) -> None:
    """Print a file to start from."""
    print(find(number).template(), end="")


def check_answer(number: str, file: Path | None, seconds: float) -> None:
    """Print the verdict on an answer; exit with status 1 if it is not right.

    Raises:
        GenLabError: there is no such exercise, or the file is missing.
    """
    if number.endswith(".py"):
        raise GenLabError(f"name the exercise before the file: genlab check 5.1 {number}")
    exercise = find(number)
    if file is None:
        raise GenLabError(f"name the file with your answer: genlab check {number} FILE")
    verdict = check_file(file, [number], seconds)[number]
    print(f"{number} {exercise.title}: {verdict.outcome}")
    if verdict.outcome == "right":
        return
    print(verdict.message)
    sys.exit(1)


def grade_folder(folder: Path, out: Path | None, seconds: float) -> None:
    """Print the table of all submissions; write it as CSV as well if `out` is given."""
    if out is not None and not out.parent.is_dir():
        raise GenLabError(f"--out: {out.parent} is no folder; make it first")
    grades = grade(folder, seconds)
    print(table(grades))
    if out is not None:
        write_csv(grades, out)
