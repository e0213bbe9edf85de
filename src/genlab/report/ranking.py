"""The ranking as tables for people: one line for each model and sampler, the best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from genlab.config.evaluators import CALIBRATION
from genlab.report.league import (
    MEASURED,
    cell_text,
    is_reason,
    markdown_table,
    mean_cells,
    readable,
    without_chance_copies,
)

BESIDE = ("copying", "train_seconds", "seconds_per_image", "evaluations", "bits_per_dim")
"""Columns of the league that stand beside the ranks, as far as there are such metrics."""
SOURCES = ("training", "sampling", "reference")
"""What makes a score vary."""
UNKNOWN = "one seed"


def place(row: Mapping[str, Any]) -> tuple[bool, float]:
    """Return a key that sorts rows: models by score, calibration rows after them by score.

    The tier is no key: a row with a wide interval may be of a better tier than one with a better
    score.

    Args:
        row: of an entry of `ranking.json`.
    """
    return row["model"] == CALIBRATION, row["fdr"]


def columns_beside() -> list[str]:
    """Return the columns of the league that the table of ranks repeats."""
    return [name for name in BESIDE if name in MEASURED]


def ranked_rows(ranking: Mapping[str, Any], league: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of one data set's ranking, sorted by `place`.

    Args:
        ranking: an entry of `ranking.json`.
        league: the rows of this data set; those of its first extractor are read.
    """
    first = without_chance_copies(league.drop_duplicates(["model", "sampler", "seed"]))
    runs = dict(iter(first.groupby(["model", "sampler"])))
    rows = sorted(ranking["rows"], key=place)
    return [_ranked_row(row, runs[row["model"], row["sampler"]]) for row in rows]


def _ranked_row(row: Mapping[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    """A row of the table: its entry in `ranking.json`, and the means of its runs in the league."""
    cells, means = runs.iloc[0], mean_cells(runs)
    return {
        "tier": None,
        "rank_low": None,
        "contradiction": None,
        **row,
        "calibration": row["model"] == CALIBRATION,
        "rank": cells["rank"],
        "score": cell_text(cells, "fdr"),
        "spreads": [_spread(row[f"sd_{source}"]) for source in SOURCES],
        "beside": [_cell(means[name], name) for name in columns_beside()],
    }


def _spread(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.2g}"


def _cell(value: object, column: str) -> dict[str, Any]:
    return {"text": readable(value, column), "reason": is_reason(value, column), "raw": value}


def ranking_markdown(ranking: Mapping[str, Any], league: pd.DataFrame) -> str:
    """Return the table of ranks of one data set in Markdown."""
    heads = ["tier", "rank", "model", "sampler", "FDr [95 %]"]
    heads += [MEASURED[name].head for name in columns_beside()]
    return markdown_table(
        heads,
        [
            [str(row["tier"] or ""), row["rank"], row["model"], row["sampler"], row["score"]]
            + [cell["text"] for cell in row["beside"]]
            for row in ranked_rows(ranking, league)
        ],
    )
