"""The outcome of a finished study in a few lines."""

from __future__ import annotations

import csv
from itertools import groupby
from operator import itemgetter

from genlab.config.evaluators import CALIBRATION
from genlab.results.layout import StudyFolder

BEST = 3  # number of rows per data set


def best_rows(study: StudyFolder) -> list[str]:
    """Return the rows with the lowest FIDs of each data set, in the league's first features."""
    with study.league.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] != CALIBRATION]
    several = len({row["seed"] for row in rows}) > 1
    lines = []
    for dataset, group in groupby(rows, key=itemgetter("dataset")):
        of_dataset = list(group)
        extractor = of_dataset[0]["extractor"]
        numbered = [
            (float(row["fid"]), row)
            for row in of_dataset
            if row["extractor"] == extractor and is_number(row["fid"])
        ]
        if numbered:
            lines.append(f"Lowest FIDs on {dataset} (features of: {extractor}):")
        for fid, row in sorted(numbered, key=itemgetter(0))[:BEST]:
            seed = f", seed {row['seed']}" if several else ""
            lines.append(f"  {fid:.3g}  {row['model']}, {row['sampler']}{seed}")
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
