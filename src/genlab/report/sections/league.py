"""The section on the league: every row of the study, the best values in bold."""

from __future__ import annotations

from typing import Any

import pandas as pd

from genlab.config.evaluators import FLOOR
from genlab.report.league import COLUMNS, is_reason, readable
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

LOWER_IS_BETTER = (
    "fid",
    "kid",
    "reconstruction_mse",
    "reconstruction_fid",
    "bits_per_dim",
    "seconds_per_image",
)
HIGHER_IS_BETTER = ("inception_score", "precision", "recall", "reconstruction_psnr")
OF_RUNS = ("reconstruction_mse", "reconstruction_psnr", "bits_per_dim")
"""Columns that do not depend on the extractor of features."""


def best_cells(table: pd.DataFrame) -> set[tuple[int, str]]:
    """Return index and column of the best values for each data set and extractor.

    A group whose values are all equal has no best one: they may come from one run or first stage.
    """
    best: set[tuple[int, str]] = set()
    models = table[table["model"] != FLOOR]
    for column in (*LOWER_IS_BETTER, *HIGHER_IS_BETTER):
        for _, group in models.groupby(["dataset"] + ["extractor"] * (column not in OF_RUNS)):
            numbers = pd.to_numeric(group[column], errors="coerce").dropna()
            if numbers.nunique() > 1:
                target = numbers.min() if column in LOWER_IS_BETTER else numbers.max()
                best |= {(int(i), column) for i in numbers.index[numbers == target]}
    return best


def league_table(table: pd.DataFrame) -> dict[str, Any]:
    """Return heads and rows of the league, and the labels of the columns that are compared.

    A cell knows whether it is the best one and whether it holds a reason instead of a number.
    """
    best = best_cells(table)
    rows = [
        {
            "floor": row["model"] == FLOOR,
            "cells": [
                {
                    "text": readable(row[column], column),
                    "raw": row[column],
                    "best": (i, column) in best,
                    "reason": is_reason(row[column], column),
                }
                for column in COLUMNS
            ],
        }
        for i, row in table.iterrows()
    ]
    return {
        "heads": list(COLUMNS.values()),
        "rows": rows,
        "lower": [COLUMNS[column] for column in LOWER_IS_BETTER],
        "higher": [COLUMNS[column] for column in HIGHER_IS_BETTER],
    }


class LeagueSection(Section):
    """Table of all metrics of all rows."""

    title = "League"
    order = 10
    introduction = (
        "One row for each run, sampler and feature extractor. Bold marks the best model of a "
        "column among the rows of the same data set and extractor. The grey rows calibrate the "
        "metrics: <em>real</em> scores held-out images of the data set, <em>noise</em> scores "
        "uniform noise. Click a column head to sort."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {"league": league_table(study.league)}
