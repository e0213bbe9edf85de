"""The section on the ladder: which metric notices which flaw.

The calibration rows of one kind, from `real` over its weakest strength to its strongest, are the
rungs of a ladder. A metric that notices this flaw gets worse from rung to rung.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from genlab.config.calibration import KINDS
from genlab.config.evaluators import CALIBRATION
from genlab.config.study import Study
from genlab.evaluation.metrics import Column, ComputedMetric, metrics
from genlab.report.figures import data_uri, png
from genlab.report.league import in_features_of, is_reason
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

REAL = "real"
NO_WORSE, NOT_MONOTONE = "no worse at the strongest", "not monotone"
SEEN, BLIND = "C0", "crimson"
PANEL = 1.9, 1.35  # inches


def judged_columns() -> list[Column]:
    """The columns of metrics of generated images that say which values are better.

    Metrics of requested classes are left out: nobody requests the classes of calibration rows.
    """
    judged = [m for m in metrics() if isinstance(m, ComputedMetric) and "classes" not in m.needs]
    return [c for metric in judged for c in metric.columns if c.better != "none" and not c.text]


class Scores(NamedTuple):
    """One metric on some rows, turned so that larger is worse; NaN where it has no number.

    Attributes:
        value, low, high: [rows]; the ends of the 95 % interval, or the value where there is none.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def scores(rows: pd.DataFrame, column: Column) -> Scores:
    """The scores of a metric on `rows` of the league."""
    names = (column.name, *column.ends) if column.interval else (column.name,) * 3
    value, low, high = (
        pd.to_numeric(rows[name], errors="coerce").to_numpy(np.float64) for name in names
    )
    low, high = (np.where(np.isnan(end), value, end) for end in (low, high))
    return Scores(value, low, high) if column.better == "lower" else Scores(-value, -high, -low)


def strengths_in(rows: list[str]) -> dict[str, list[str]]:
    """The kinds of calibration rows of which `rows` has at least two strengths; those rows."""
    kinds = {
        kind: [row for row in facts.rows(kind) if row in rows]
        for kind, facts in KINDS.items()
        if facts.strengths
    }
    return {kind: names for kind, names in kinds.items() if len(names) > 1}


class Ladder(NamedTuple):
    """The calibration rows of one kind on one data set.

    Attributes:
        rungs: rows of the league: `real`, where there is one, then the strengths in their order.
    """

    dataset: str
    kind: str
    rungs: pd.DataFrame


def ladders(league: pd.DataFrame) -> Iterator[Ladder]:
    """All ladders of the league, in the features of the first extractor of each data set."""
    rows = league[league["model"] == CALIBRATION]
    for dataset, group in rows.groupby("dataset", sort=False):
        first = group[group["extractor"] == group["extractor"].iloc[0]].set_index("sampler")
        for kind, names in strengths_in(list(first.index)).items():
            rungs = [REAL, *names] if REAL in first.index else names
            yield Ladder(str(dataset), kind, first.loc[rungs])


def blindness(rungs: Scores) -> str | None:
    """Why a metric is blind to a flaw, by its scores on the rungs; '' if it notices the flaw.

    It is blind if the strongest flaw is not significantly worse than real images, or if some
    strength is significantly better than a weaker one. Significant means that the intervals do not
    overlap; without intervals, any difference is.

    Returns:
        None where a score is missing.
    """
    if np.isnan(rungs.value).any():
        return None
    if rungs.low[-1] <= rungs.high[0]:
        return NO_WORSE
    worst_before = np.maximum.accumulate(rungs.low)[:-1]
    return NOT_MONOTONE if (rungs.high[1:] < worst_before).any() else ""


def blind_spots(league: pd.DataFrame) -> dict[str, list[str]]:
    """The kinds of flaw that each metric is blind to, on any data set of the league.

    Args:
        league: its first extractor counts; select rows to ask about another one.

    Returns:
        A list for each column of `judged_columns`, empty for a metric that notices everything.
    """
    spots: dict[str, list[str]] = {column.name: [] for column in judged_columns()}
    for ladder in ladders(league):
        for column in judged_columns():
            kinds = spots[column.name]
            if blindness(scores(ladder.rungs, column)) and ladder.kind not in kinds:
                kinds.append(ladder.kind)
    return spots


def preferred_to_real(league: pd.DataFrame, suspects: pd.Series[bool], column: Column) -> list[str]:
    """Rows among the `suspects` that a metric rates better than held-out images.

    Args:
        league: rows of one data set and one extractor.
        suspects: which of them no fair metric prefers.
    """
    real = scores(league[league["sampler"] == REAL], column)
    if not len(real.value):
        return []
    rows = league[suspects]
    names = rows["sampler"].where(rows["model"] == CALIBRATION, rows["model"])
    return list(names[scores(rows, column).high < real.low[0]].unique())


def draw_ladders(chosen: list[Ladder]) -> bytes:
    """Draw what each flaw does to each metric: a column for each kind, a row for each metric.

    A panel shows how much worse a metric is than on `real`, or on the weakest strength where there
    is no such row; with 95 % intervals where it has them. A metric without numbers has no row.
    """
    columns = [
        column
        for column in judged_columns()
        if any(blindness(scores(ladder.rungs, column)) is not None for ladder in chosen)
    ]
    figure, axes = plt.subplots(
        len(columns), len(chosen), sharex="col", sharey="row", squeeze=False,
        figsize=(PANEL[0] * len(chosen) + 1, PANEL[1] * len(columns) + 0.4),
        gridspec_kw={"wspace": 0.08, "hspace": 0.12},  # a constrained layout takes seconds
    )  # fmt: skip
    for line, column in zip(axes, columns, strict=True):
        for axis, ladder in zip(line, chosen, strict=True):
            _panel(axis, ladder, column)
        _two_decades(line)
        line[0].set_ylabel(column.label, fontsize="small")
    for axis, ladder in zip(axes[0], chosen, strict=True):
        axis.set_title(ladder.kind, fontsize="medium")
    for axis in axes.flat:
        axis.tick_params(labelsize="x-small")
    return png(figure)


def _two_decades(line: NDArray[np.object_]) -> None:
    """Make the shared scale of a row of axes logarithmic in its two last decades, linear below."""
    ends = np.abs([axis.dataLim.intervaly for axis in line])
    largest = ends[np.isfinite(ends)].max(initial=0)
    if largest:
        line[0].set_yscale("symlog", linthresh=10.0 ** (math.floor(math.log10(largest)) - 1))


def _panel(axis: Axes, ladder: Ladder, column: Column) -> None:
    """One metric on one ladder, red where it is blind."""
    rungs = scores(ladder.rungs, column)
    labels = [REAL if name == REAL else name.rpartition("-")[2] for name in ladder.rungs.index]
    axis.set_xticks(range(len(labels)), labels)
    axis.axhline(0, color="0.6", lw=0.8, zorder=0)
    reason = blindness(rungs)
    if reason is None:
        return
    worse, ends = rungs.value - rungs.value[0], np.abs(rungs.value - [rungs.low, rungs.high])
    colour = BLIND if reason else SEEN
    axis.errorbar(range(len(worse)), worse, ends, color=colour, marker="o", ms=4, lw=1.4, capsize=2)
    if reason:
        axis.text(0.05, 0.8, "blind", color=BLIND, fontsize="x-small", transform=axis.transAxes)


def suspects_of(league: pd.DataFrame, settings: Study, extractor: str) -> pd.Series[bool]:
    """Rows that a fair metric does not prefer to held-out images.

    These are the calibration rows without degrees, and the models trained on the extractor.
    """
    cheats = [name for name in settings.models if extractor in settings.trained_on(name)]
    single = [kind for kind, facts in KINDS.items() if not facts.strengths and kind != REAL]
    of_calibration = (league["model"] == CALIBRATION) & league["sampler"].isin(single)
    return of_calibration | league["model"].isin(cheats)


def _cell(rungs: pd.DataFrame, column: Column) -> dict[str, str | None]:
    """Why a metric is blind to a flaw, '' if it is not; or the `missing` reason for a score."""
    reasons = (str(cell) for cell in rungs[column.name] if is_reason(cell, column.name))
    return {"blind": blindness(scores(rungs, column)), "missing": next(reasons, None)}


class LadderSection(Section):
    """Metrics on images with flaws of known kind and strength."""

    title = "Which metric notices what"
    order = 25
    introduction = (
        "The calibration rows are no models but real images with a known flaw, from weak to "
        "strong. A metric that notices a flaw gets worse with its strength."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(strengths_in(list(study.settings.evaluation.calibration)))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        extractor = study.settings.evaluation.extractors[0]
        league = study.league[in_features_of(study.league, extractor)]
        return {
            "extractor": extractor,
            "kinds": {
                kind: KINDS[kind].description
                for kind in strengths_in(list(study.settings.evaluation.calibration))
            },
            "datasets": [
                self._read(study.settings, league[league["dataset"] == dataset], extractor)
                for dataset in study.settings.datasets
            ],
        }

    def _read(self, settings: Study, league: pd.DataFrame, extractor: str) -> dict[str, Any]:
        """What the template shows of one data set."""
        chosen = list(ladders(league))
        suspects = suspects_of(league, settings, extractor)
        return {
            "name": league["dataset"].iloc[0],
            "figure": data_uri(draw_ladders(chosen)),
            "metrics": [
                {
                    "label": column.label,
                    "cells": [_cell(ladder.rungs, column) for ladder in chosen],
                    "preferred": preferred_to_real(league, suspects, column),
                }
                for column in judged_columns()
            ],
        }
