"""Grades a folder of submissions: a table of students and exercises."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from genlab.course import SECONDS
from genlab.course.compare import Verdict
from genlab.course.exercises import Exercise, exercises
from genlab.course.run import check_file
from genlab.errors import GenLabError

MARKS = {
    "right": "+",
    "wrong": "-",
    "error": "!",
    "timeout": "T",
    "unfinished": "o",
    "missing": ".",
}
"""What the console shows for an outcome."""
Grades = dict[str, dict[str, Verdict]]
"""Verdicts by student and exercise."""


def submissions(folder: Path) -> dict[str, list[Path]]:
    """Files by student: FOLDER/NAME.py, or all of FOLDER/NAME/*.py.

    Raises:
        GenLabError: there are none.
    """
    students = {path.stem: [path] for path in sorted(folder.glob("*.py"))}
    for sub in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(sub.glob("*.py"))
        if files:
            students[sub.name] = [*students.get(sub.name, []), *files]
    if not students:
        raise GenLabError(f"{folder}: no submissions NAME.py or NAME/*.py")
    return dict(sorted(students.items()))


def grade(folder: Path, seconds: float = SECONDS) -> Grades:
    """Judge every exercise of every student.

    Raises:
        GenLabError: there is no such folder, or there are no submissions.
    """
    if not folder.is_dir():
        raise GenLabError(f"{folder}: no such folder")
    return {name: grade_student(files, seconds) for name, files in submissions(folder).items()}


def grade_student(files: Sequence[Path], seconds: float) -> dict[str, Verdict]:
    """Verdicts on all exercises; of several files with one function the first counts."""
    verdicts: dict[str, Verdict] = {}
    for file in files:
        text = file.read_text(encoding="utf-8", errors="replace")
        numbers = [
            number
            for number, exercise in exercises().items()
            if number not in verdicts and defines(text, exercise)
        ]
        verdicts |= check_file(file, numbers, seconds, quiet=True) if numbers else {}
    nothing = Verdict("missing", "no file defines the function")
    return {number: verdicts.get(number, nothing) for number in exercises()}


def defines(text: str, exercise: Exercise) -> bool:
    """Whether a file defines or imports the function, told without running it."""
    name = re.escape(exercise.name)
    return bool(re.search(rf"^(def\s+{name}\b|{name}\s*[:=]|from\s.*\b{name}\b)", text, re.M))


def right(verdicts: dict[str, Verdict]) -> int:
    """Number of right answers."""
    return sum(verdict.outcome == "right" for verdict in verdicts.values())


def table(grades: Grades) -> str:
    """The table for the console."""
    width = max(len("student"), *(len(name) for name in grades))
    numbers = list(exercises())
    head = f"{'student':{width}}  " + " ".join(f"{n:>4}" for n in numbers) + "  right"
    rows = [
        f"{name:{width}}  "
        + " ".join(f"{MARKS[verdicts[n].outcome]:>4}" for n in numbers)
        + f"  {right(verdicts)}/{len(numbers)}"
        for name, verdicts in grades.items()
    ]
    legend = ", ".join(f"{mark} {outcome}" for outcome, mark in MARKS.items())
    return "\n".join([head, *rows, legend])


def write_csv(grades: Grades, path: Path) -> None:
    """Write the outcomes of all students, a line each, with the number of right answers."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["student", *exercises(), "right"])
        for name, verdicts in grades.items():
            outcomes = [verdict.outcome for verdict in verdicts.values()]
            writer.writerow([name, *outcomes, right(verdicts)])
