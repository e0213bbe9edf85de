"""The outcome of a finished study in a few lines."""

from __future__ import annotations

import csv
from itertools import groupby
from operator import itemgetter

from genlab.config.evaluators import CALIBRATION
from genlab.results.layout import StudyFolder

BEST = 3  # number of rows per data set


def best_rows(study: StudyFolder) -> list[str]:
    """Return the rows of each data set with the lowest FDr, and the intervals of their ranks."""
    with study.league.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] != CALIBRATION]
    lines = []
    for dataset, group in groupby(rows, key=itemgetter("dataset")):
        scores = {
            (float(row["fdr"]), row["model"], row["sampler"]): row["rank"]
            for row in group  # seeds and extractors repeat it
            if is_number(row["fdr"])
        }
        if scores:
            lines.append(f"Best on {dataset} by FDr, which is 1 for real images:")
        for fdr, model, sampler in sorted(scores)[:BEST]:
            rank = scores[fdr, model, sampler]
            lines.append(f"  {fdr:.3g}  {model}, {sampler}: rank {rank}")
    return lines


def is_number(cell: str) -> bool:
    """Return whether a cell of the league is a number rather than a reason for having none."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def outcome(study: StudyFolder) -> str:
    """Return the best rows, the path of the report, and how to see the runs."""
    return "\n".join(
        [
            *best_rows(study),
            f"Report: {study.report}",
            "All runs in MLflow: make ui",
        ]
    )
