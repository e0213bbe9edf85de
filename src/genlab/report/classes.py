"""What the page says of each class, for rows whose samples were asked to be of one."""

from __future__ import annotations

from typing import Any

from genlab.io.files import read_json
from genlab.report.league import readable
from genlab.report.study import run_label
from genlab.results.layout import RunFolder
from genlab.results.origin import read_metrics


def _cell(measured: dict[str, float | None] | None) -> dict[str, Any]:
    """KID, by which the table sorts, and FID where there were images enough for it."""
    if measured is None:
        return {"text": "(too few)", "raw": ""}
    text = " · ".join(
        readable(measured[name], name) for name in ("kid", "fid") if measured[name] is not None
    )
    return {"text": text, "raw": measured["kid"]}


def by_class(runs: list[RunFolder], extractors: list[str]) -> list[dict[str, Any]]:
    """A table for each data set and extractor, of every row that has classes."""
    tables: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        if not run.metrics.exists():  # it draws nothing
            continue
        for row, measured in read_metrics(run).items():
            for extractor in extractors:
                parts = measured[extractor].get("per_class")
                if parts is None:
                    continue
                classes = read_json(run.data.manifest)["classes"]
                title = f"{run.dataset}, features of: {extractor}"
                empty = {"title": title, "heads": classes, "rows": []}
                table = tables.setdefault((run.dataset, extractor), empty)
                cells = [_cell(parts.get(name)) for name in classes]
                table["rows"].append({"title": f"{run_label(run)}, {row}", "cells": cells})
    return list(tables.values())
