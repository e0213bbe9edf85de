"""A table about own pictures: CSV or JSON Lines, with a row for each picture.

The column `file` names the picture, `label` its class; captions and factors use any column.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from genlab.config.picture_names import examples, printable
from genlab.errors import GenLabError

FILE, LABEL, CAPTION = "file", "label", "caption"
RESERVED = ("class", "name")
"""Placeholders of captions for the class, which no column may be called."""

Row = dict[str, str]
"""The cells of a row by column."""


class PictureTable(NamedTuple):
    """The content of a table.

    Attributes:
        where: its path, for messages.
        columns: names of the columns.
        rows: the rows by their `file`.
    """

    where: str
    columns: tuple[str, ...]
    rows: dict[str, Row]


def read_table(where: str, content: bytes) -> PictureTable:
    """Read a table in UTF-8: JSON Lines if its name ends with .jsonl, CSV otherwise.

    Raises:
        GenLabError: it is no such table, lacks the column `file`, has an empty cell, or names a
            picture twice.
    """
    try:
        text = content.decode("utf-8-sig")
        lines = _json_lines if where.lower().endswith(".jsonl") else _csv_lines
        numbered = [(number, row) for number, row in lines(text) if row]
    except (ValueError, csv.Error) as error:
        raise GenLabError(f"{where}: can't be read ({error})") from None
    columns = tuple(numbered[0][1]) if numbered else ()
    if FILE not in columns:
        raise GenLabError(f"{where}: has no column '{FILE}', but {_listed(columns)}")
    if taken := {*columns} & {*RESERVED}:
        raise GenLabError(
            f"{where}: the column '{min(taken)}' has the name of a placeholder; rename it"
        )
    rows: dict[str, Row] = {}
    for number, row in numbered:
        if row.keys() != {*columns} or not all(isinstance(cell, str) for cell in row.values()):
            raise GenLabError(
                f"{where}: line {number}: expected one value for each of {_listed(columns)}"
            )
        if empty := [column for column, cell in row.items() if not cell]:
            raise GenLabError(f"{where}: line {number}: '{empty[0]}' is empty; fill it")
        name = str(PurePosixPath(row[FILE].replace("\\", "/")))
        if name in rows:
            raise GenLabError(f"{where}: line {number}: '{name}' has a row already; remove one")
        rows[name] = row
    return PictureTable(where, columns, rows)


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(f"'{column}'" for column in columns) or "no columns"


def _csv_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    for row in reader:
        yield reader.line_num, {k: v.strip() if isinstance(v, str) else v for k, v in row.items()}


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        row = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no object in braces")
        yield number, {column: _cell(value) for column, value in row.items()}


def _cell(value: Any) -> Any:
    """Return a JSON text or number as text; anything else, which is refused, unchanged."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    return value.strip() if isinstance(value, str) else value


def rows_of(table: PictureTable, pictures: list[str]) -> dict[str, Row]:
    """Return the row of each picture by its name.

    A row may leave out the outer folders of its picture, if it is the only one of that name.

    Raises:
        GenLabError: a picture has no row, or a row fits several pictures.
    """
    if all(name in table.rows for name in pictures):
        return {name: table.rows[name] for name in pictures}
    by_end = defaultdict(list)
    for name in pictures:
        parts = name.split("/")
        for first in range(len(parts)):
            by_end["/".join(parts[first:])].append(name)
    rows: dict[str, Row] = {}
    for file, row in table.rows.items():
        matches = [file] if file in by_end[file] else by_end[file]
        if len(matches) > 1 or any(name in rows for name in matches):
            raise GenLabError(
                f"{table.where}: the row of '{file}' is not the only one for "
                f"{examples(matches)}; write the folders as well"
            )
        rows |= dict.fromkeys(matches, row)
    if missing := [name for name in pictures if name not in rows]:
        raise GenLabError(
            f"{table.where}: has no row for {len(missing)} pictures: {examples(missing)}; add "
            "rows, or remove the pictures"
        )
    return rows


def file_words(name: str) -> str:
    """Return the words of a picture's file name: 'a red car' of 'cars/a-red_car_012.png'.

    Raises:
        GenLabError: the name has no words.
    """
    words = re.split(r"[\W_]+", PurePosixPath(name).stem)
    while words and (not words[-1] or words[-1].isdecimal()):
        words.pop()
    if not any(words):
        raise GenLabError(f"captions: {{file}}: the name '{printable(name)}' has no words")
    return " ".join(word for word in words if word)
