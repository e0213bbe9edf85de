"""The jobs of a dry run and their reasons."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from snakemake_logger_plugin_genlab.progress import Job, jobs

NAMED = 3  # number of models or files in a line of the table
AFTER = "follows from the jobs above"
CAUSES = {
    "Forced execution": "forced",
    "Missing output files": "missing",
    "Incomplete output files": "was interrupted",
    "Updated input files": "changed",
    "Set of input files has changed": "other input files than before",
    "Code has changed": "its code changed",
    "Params have changed": "its code or settings changed",
    "Software environment definition has changed": "its environment changed",
    "Input files updated by another job": AFTER,
}
"""Beginnings of Snakemake's reasons in order of precedence, and the words for the table."""


def several(names: list[str]) -> str:
    """Return the first few names, and the number of the others."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


@dataclass
class Line:
    """Jobs of the same rule with the same reason."""

    count: int = 0
    models: dict[str, None] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)


class Plan:
    """The jobs that would run, by rule and reason."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], Line] = defaultdict(Line)

    def add(self, job: Job, reason: str) -> None:
        """Add a job with Snakemake's reason."""
        reasons = dict(part.partition(": ")[::2] for part in reason.split("; "))
        start, cause = next(
            ((start, cause) for start, cause in CAUSES.items() if reason_of(start, reasons)),
            (reason, reason),
        )
        line = self.lines[job.rule, cause]
        line.count += 1
        line.models |= dict.fromkeys(filter(None, [job.model]))
        if start == "Updated input files":
            line.files |= dict.fromkeys(reasons[start].split(", "))

    def table(self) -> str:
        """Return a line per rule and reason, with the number of jobs and their models."""
        rows = [("jobs", "rule", "of", "why")]
        for (rule, cause), line in self.lines.items():
            why = f"{cause}: {several(sorted(line.files))}" if line.files else cause
            rows.append((str(line.count), rule, several(sorted(line.models)), why))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{count:>{widths[0]}}  {rule:{widths[1]}}  {models:{widths[2]}}  {why}"
            for count, rule, models, why in rows
        ]
        total = sum(line.count for line in self.lines.values())
        end = f"{jobs(total)} would run; this was a dry run. --verbose shows each of them."
        return "\n".join([*lines, end])


def reason_of(start: str, reasons: dict[str, str]) -> bool:
    """Return whether one of the `reasons` begins with `start`."""
    return any(reason.startswith(start) for reason in reasons)
