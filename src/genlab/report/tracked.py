"""The numbers of the league as tracking services show them, under the same names in every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genlab.evaluation.metrics import metrics
from genlab.report.league import Row, is_reason
from genlab.report.ranking import place

MILLISECONDS = 1000.0
BEST = ("fid", "fdr", "recall", "ms_per_image", "nfe")
"""Numbers of its best row that stand in the run of a model, as best/NAME."""
OF_MODEL = ("bits_per_dim", "parameters", "train_seconds")
"""Numbers of the model itself, the same in all of its rows."""

Numbers = dict[str, float]


def row_numbers(rows: Sequence[Row], extractors: Sequence[str]) -> Numbers:
    """Return every number of a row of samples.

    The names are the league's columns, save `ms_per_image`, `nfe` and `ms_per_nfe`. The features
    of extractors other than the first one have names of their own: EXTRACTOR/fid.

    Args:
        rows: of the league, one for each of `extractors`.
    """
    numbers: Numbers = {}
    for row, extractor in zip(rows, extractors, strict=True):
        first = extractor == extractors[0]
        for metric in metrics():
            if metric.of_extractor or first:
                cells = {
                    name: row[name]
                    for column in metric.columns
                    if not column.text
                    for name in column.names
                    if not is_reason(row[name], name)
                }
                prefix = "" if first else f"{extractor}/"
                numbers |= {f"{prefix}{name}": value for name, value in _tracked(cells).items()}
    return numbers


def _tracked(cells: Mapping[str, Any]) -> Numbers:
    """Cells of the league under the names, and in the units, of tracking services."""
    numbers: Numbers = {}
    for name, value in cells.items():
        match name:
            case "seconds_per_image":
                numbers["ms_per_image"] = MILLISECONDS * float(value)
            case "milliseconds_per_evaluation":
                numbers["ms_per_nfe"] = float(value)
            case "evaluations":
                numbers["nfe"] = float(value)
            case _:
                numbers[name] = float(value)
    return numbers


def model_numbers(rows: Mapping[str, Numbers], best: str | None) -> Numbers:
    """Return the numbers of a model that compare between families, as far as it has them.

    Args:
        rows: the numbers of its rows, by sampler.
        best: the sampler of its best row; None where no row is ranked.
    """
    numbers = {name: row[name] for row in rows.values() for name in OF_MODEL if name in row}
    if best is not None:
        row = rows[best]
        numbers |= {f"best/{name}": row[name] for name in BEST if name in row}
        numbers |= {"tier": row["tier"]} if "tier" in row else {}
    return numbers


def best_sampler(ranking: Mapping[str, Any], model: str) -> str | None:
    """Return the sampler of a model's best row, as on the page; None where no row is ranked.

    Args:
        ranking: of the model's data set, an entry of `ranking.json`.
    """
    rows = [row for row in ranking["rows"] if row["model"] == model]
    best = min(rows, key=place, default=None)
    return None if best is None else str(best["sampler"])
