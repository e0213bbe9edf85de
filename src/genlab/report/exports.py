"""The league in other forms: Parquet, LaTeX, and a long table with one line for each number.

All of them are derived from the one table that `genlab.report.league.read_league` returns, and hold
exactly its numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from genlab.errors import GenLabError
from genlab.evaluation.metrics import Column, Metric, metrics
from genlab.io.files import replacing
from genlab.report.league import (
    COLUMNS,
    HEADS,
    KEYS,
    MEASURED,
    NAMES,
    best_cells,
    interval_of,
    is_reason,
    readable,
)

REASON = "_reason"
"""End of the names of the Parquet columns that say why there is no number."""
NUMBERS = tuple(name for name in COLUMNS if name not in NAMES and name != "seed")
"""Columns of numbers, or of reasons why there is none."""
MEASUREMENT_KEYS = ("dataset", "model", "seed", "sampler", "extractor", "metric")
"""Columns that name a measurement; `extractor` is empty where the number does not depend on it."""
MEASUREMENTS = (*MEASUREMENT_KEYS, "reference", "samples", "value", "low", "high")
"""Columns of the long table. `reference` names the real images that the number depends on,
`samples` is the number of generated images it was measured on, `low` and `high` are the ends of its
95 % interval; both are empty where there are none."""


def measurements(league: pd.DataFrame) -> pd.DataFrame:
    """The long table: one line for each number of the league."""
    lines = [
        line
        for row in league.to_dict("records")
        for metric in metrics()
        for column in metric.columns
        if not column.text and not is_reason(row[column.name], column.name)
        for line in [_measurement(row, metric, column)]
    ]
    table = pd.DataFrame(lines, columns=list(MEASUREMENTS)).astype(
        dict.fromkeys(("samples", "value", "low", "high"), "float64")
    )
    # A number that depends on no extractor stands in the league's rows of all of them.
    return table.drop_duplicates(list(MEASUREMENT_KEYS), ignore_index=True)


def _measurement(row: Mapping[Hashable, Any], metric: Metric, column: Column) -> dict[str, Any]:
    """The line of one number."""
    samples = row["samples"] if "samples" in metric.needs else None
    low, high = interval_of(row, column.name) or (None, None)
    return {
        **{key: row[key] for key in ("dataset", "model", "seed", "sampler")},
        "extractor": row["extractor"] if metric.of_extractor else "",
        "metric": column.name,
        "reference": metric.reference(column),
        "samples": samples,
        "value": float(row[column.name]),
        "low": low,
        "high": high,
    }


def with_reasons_apart(league: pd.DataFrame) -> pd.DataFrame:
    """The league with one type in each column, as Parquet needs it.

    Numbers are float64, null where there is none; the reason is then in NAME_reason.
    """
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        cells = league[name]
        if name not in NUMBERS:
            columns[name] = cells.astype("int64" if name == "seed" else "string")
            continue
        reason = cells.map(lambda cell, name=name: is_reason(cell, name))
        columns[name] = pd.to_numeric(cells.mask(reason), errors="raise").astype("float64")
        columns[f"{name}{REASON}"] = cells.where(reason).astype("string")
    return pd.DataFrame(columns)


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write `table` as Parquet at `path`, atomically, with a checksum in every page."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, engine="pyarrow", index=False, write_page_checksum=True)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a table that `write_parquet` wrote.

    Raises:
        GenLabError: it is missing or damaged.
    """
    try:
        return pd.read_parquet(path, engine="pyarrow", page_checksum_verification=True)
    except FileNotFoundError:
        raise GenLabError(f"{path}: no such file; run the workflow again") from None
    except (OSError, ValueError, KeyError, NotImplementedError) as error:  # as Arrow reports it
        raise GenLabError(f"{path}: damaged ({error}); delete it and run again") from None


def latex(league: pd.DataFrame) -> str:
    """The league for a paper: a table in the style of booktabs for each data set and extractor.

    Its columns are those that rank models. The best cells of those with intervals are bold;
    intervals are in the cells. A comment above each table names what all of its numbers have in
    common.
    """
    return "\n".join(_tables(league))


LATEX_KEYS = ("model", "sampler", "seed")
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
SPECIAL |= {character: f"\\{character}" for character in "&%$#_{}"}


def _tables(league: pd.DataFrame) -> Iterator[str]:
    """The tables of `latex`."""
    ranked = [name for name, column in MEASURED.items() if column.better != "none"]
    columns = [*LATEX_KEYS, *ranked]
    best = best_cells(league)
    for (dataset, extractor), rows in league.groupby(["dataset", "extractor"], sort=False):
        counts = ", ".join(sorted({readable(n, "samples") for n in rows["samples"]}))
        yield f"% data set {dataset}, features of {extractor}, N = {counts}; needs booktabs"
        yield rf"\begin{{tabular}}{{lll{'r' * len(ranked)}}}"
        yield r"\toprule"
        yield _line([escaped(HEADS[name]) for name in columns])
        yield r"\midrule"
        for i, row in rows.iterrows():
            yield _line([_cell(row, name, (i, name) in best) for name in columns])
        yield r"\bottomrule"
        yield "\\end{tabular}\n"


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _cell(row: pd.Series, column: str, best: bool) -> str:
    """A cell in LaTeX; the interval is small beside the number, a reason in italics."""
    text, ends = escaped(readable(row[column], column)), interval_of(row, column)
    if column not in KEYS and is_reason(row[column], column):
        return rf"\textit{{{escaped(str(row[column]))}}}"
    text = rf"\textbf{{{text}}}" if best else text
    if ends is None:
        return text
    low, high = (readable(end, column) for end in ends)
    return rf"{text} {{\scriptsize [{low}, {high}]}}"


def escaped(text: str) -> str:
    """`text` with LaTeX's special characters as LaTeX prints them."""
    return "".join(SPECIAL.get(character, character) for character in text)
