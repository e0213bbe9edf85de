"""Rows of the league as they were published: in CSV, in Parquet, and on the page.

They are read back from the files and compared with the row as it follows from the run's folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd

from genlab.errors import GenLabError
from genlab.io.differences import Difference, equal
from genlab.report.exports import REASON, read_parquet
from genlab.report.league import HEADS, MEASURED, cell_text, interval_of

ROW_KEYS = ("dataset", "model", "seed", "sampler", "extractor")
"""Columns that name a row of the league."""

Rows = list[dict[str, Any]]
"""Rows of a table, by column."""


def read_csv_rows(path: Path) -> Rows:
    """The rows of a table in CSV, each cell as it stands there.

    Raises:
        GenLabError: it is missing or not CSV.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise GenLabError(f"{path}: no such file; run the workflow again") from None
    except (OSError, ValueError) as error:
        raise GenLabError(f"{path}: not CSV ({error}); delete it and run again") from None
    return _records(table)


def read_parquet_rows(path: Path) -> Rows:
    """The rows of a table in Parquet; a reason stands in the cell that has no number.

    Raises:
        GenLabError: it is missing or damaged.
    """
    rows = _records(read_parquet(path))
    for row in rows:
        for name in [name for name in row if name.endswith(REASON)]:
            reason = row.pop(name)
            cell = name.removesuffix(REASON)
            if isinstance(reason, str) and cell in row:
                row[cell] = reason if equal(row[cell], None) else f"{row[cell]} ({reason})"
    return rows


def _records(table: pd.DataFrame) -> Rows:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


class _LeagueTable(HTMLParser):
    """The table of the page's section on the league: of each cell its text and its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[dict[str, str]]] = []
        self._cell: dict[str, str] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            values = {name: value or "" for name, value in attrs}
            self._cell = {"text": "", **values}
            self.rows[-1].append(self._cell)

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell["text"] += data


def read_page_rows(path: Path) -> Rows:
    """The rows of the league on the page, in the form of `page_row`.

    Raises:
        GenLabError: the page or its table is missing.
    """
    try:
        html = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GenLabError(f"{path}: can't be read ({error}); delete it and run again") from None
    table = re.search(r'<section id="league">.*?<tbody>(.*?)</tbody>', html, re.S)
    if table is None:
        raise GenLabError(f"{path}: has no table of the league; delete it and run again")
    rows = []
    for cells in _LeagueTable(table[1]).rows:
        row: dict[str, Any] = {}
        for column, cell in zip(HEADS, cells, strict=False):
            row |= {column: cell.get("data-raw", ""), f"{column}, as shown": cell["text"]}
            if "data-low" in cell or "data-high" in cell:
                ends = cell.get("data-low", ""), cell.get("data-high", "")
                row |= dict(zip(MEASURED[column].ends, ends, strict=True))
        rows.append(row)
    return rows


def page_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the league as the page has it: for each cell its value, interval and text."""
    result: dict[str, Any] = {}
    for column in HEADS:
        result |= {column: row[column], f"{column}, as shown": cell_text(row, column)}
        if ends := interval_of(row, column):
            result |= dict(zip(MEASURED[column].ends, ends, strict=True))
    return result


def table_difference(
    path: Path, rows: Rows, expected: Rows, keys: Sequence[str] = ROW_KEYS
) -> Difference | None:
    """The first cell in which a published table differs from rows that it should have.

    Args:
        rows: of the table at `path`; those that `expected` does not name are not looked at.
        keys: columns that name a row.
    """
    for target in expected:
        name = " ".join(str(target[key]) for key in keys if target[key] != "")
        matches = [row for row in rows if all(equal(row.get(key), target[key]) for key in keys)]
        if len(matches) != 1:
            return Difference(path, f"row {name}", f"{len(matches)} rows", "1 row")
        (row,) = matches
        for column in dict.fromkeys((*target, *row)):
            sides = [side.get(column, "no such column") for side in (row, target)]
            if not equal(*sides):
                return Difference(path, f"row {name}, column {column}", *map(repr, sides))
    return None
