"""The class-by-class tables, of rows whose samples were requested by class."""

from __future__ import annotations

from typing import Any

from genlab.evaluation.classes import class_metrics
from genlab.io.files import read_json
from genlab.report.league import readable
from genlab.report.study import run_label
from genlab.results.layout import RunFolder
from genlab.results.origin import read_metrics


def _cell(columns: list[str], measured: dict[str, float | None] | None) -> dict[str, Any]:
    """The numbers of a class; the table sorts by the first one."""
    if measured is None:
        return {"text": "(too few)", "raw": ""}
    text = " · ".join(
        readable(measured[name], name) for name in columns if measured[name] is not None
    )
    return {"text": text, "raw": measured[columns[0]]}


def by_class(runs: list[RunFolder], extractors: list[str]) -> list[dict[str, Any]]:
    """A table for each data set and extractor, of every row that was requested by class."""
    columns = [metric.columns[0] for metric in class_metrics()]
    names = [column.name for column in columns]
    tables: dict[tuple[str, str], dict[str, Any]] = {}
    for run in runs:
        if not run.metrics.exists():  # it draws nothing
            continue
        for row, measured in read_metrics(run).items():
            for extractor in extractors:
                of_class = measured[extractor].get("per_class")
                if of_class is None:
                    continue
                classes = read_json(run.data.manifest)["classes"]
                title = f"{run.dataset}, features of: {extractor}"
                labels = [column.label for column in columns]
                empty = {"title": title, "heads": classes, "metrics": labels, "rows": []}
                table = tables.setdefault((run.dataset, extractor), empty)
                cells = [_cell(names, of_class.get(name)) for name in classes]
                table["rows"].append({"title": f"{run_label(run)}, {row}", "cells": cells})
    return list(tables.values())
