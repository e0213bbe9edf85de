"""The first section: the winners, quality against cost, and the best row of every model."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator
from matplotlib.transforms import Bbox

from genlab.report.figures import INK, MARKERS, PLAIN, mark, palette, svg
from genlab.report.findings import findings
from genlab.report.league import MEASURED, is_reason
from genlab.report.pictures import Picture, strip
from genlab.report.sections import Section
from genlab.report.sections.runs import run_anchor
from genlab.report.standings import (
    Standing,
    best_of_each_model,
    front,
    read_standings,
    winners,
)
from genlab.report.study import ReportedStudy

SHOWN = (
    "copying", "recall", "bits_per_dim", "evaluations", "seconds_per_image", "train_seconds",
    "parameters",
)  # fmt: skip
"""Columns of the league in the table of models."""
LABEL_PLACES = [
    (side * x, y)
    for x, y in ((6, 5), (6, -12), (6, 20), (6, -27), (20, 34), (20, -41), (40, 5), (40, -12))
    for side in (1, -1)
]
"""Where a label may stand, in points from its dot; the first free place is taken."""
LEADER_DISTANCE = 12
"""Largest distance in points of a label that needs no leader line to its dot."""
LEADER = {"arrowstyle": "-", "lw": 0.6, "color": INK}
"""Style of a leader line."""


def cost_figure(standings: Sequence[Standing], real: float | None, name: str) -> str:
    """Draw FDr against milliseconds per image as SVG, with the Pareto front.

    Rows that copy training images have hollow marks and are left out of the front.

    Args:
        real: FDr of the row of real images.
        name: starts the ids inside the drawing.
    """
    shown = [one for one in standings if one.milliseconds]
    cost = np.array([one.milliseconds for one in shown])
    score = np.array([one.fdr for one in shown])
    best = [shown.index(one) for _, one in front(shown, "seconds_per_image")]
    groups = list(dict.fromkeys(one.group for one in sorted(shown, key=lambda one: one.group)))
    colours = dict(zip(groups, palette(len(groups)), strict=True))
    markers = dict(zip(groups, MARKERS * len(groups), strict=False))
    figure, axis = plt.subplots(figsize=(7, 3.7), layout="constrained")
    axis.set(xscale="log", yscale="log", xlabel="ms per image (lower is better)",
             ylabel="FDr (lower is better)")  # fmt: skip
    axis.plot(cost[best], score[best], color=INK, ls="--", lw=1, zorder=1)
    titles = {}
    intervals = []
    for i, one in enumerate(shown):
        dot = mark(
            axis, cost[i], score[i], colours[one.group], markers[one.group], hollow=one.copies
        )
        (interval,) = axis.plot(
            [cost[i]] * 2, [one.low, one.high], color=colours[one.group], lw=1.2, zorder=1
        )
        intervals.append(interval)
        dot.set_gid(f"{name}-{i}")
        titles[f"{name}-{i}"] = (
            f"{one.name}: FDr {one.text('fdr')}, {one.milliseconds:.3g} ms per image"
        )
    for scale in (axis.xaxis, axis.yaxis):
        scale.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=12))
        scale.set_major_formatter(PLAIN)
    axis.minorticks_off()
    if real is not None:
        axis.axhline(real, color=INK, ls=":", lw=1)
    _label_points(axis, [(cost[i], score[i], shown[i].model) for i in best], intervals)
    handles = [
        Line2D([], [], color=colours[group], marker=markers[group], ls="", label=group)
        for group in groups
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False,
                  fontsize="small")  # fmt: skip
    return svg(figure, name, "FDr against milliseconds per image of all rows", titles)


def _label_points(
    axis: Axes, points: Sequence[tuple[float, float, str]], intervals: Sequence[Line2D]
) -> None:
    """Write a name beside each point, where it covers no interval (and so no mark) and no name.

    A leader line connects a name that stands farther away. A name that fits nowhere is left out: it
    is in the table and in the title of the dot.
    """
    figure = axis.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    taken = [line.get_window_extent().padded(6) for line in intervals]
    named: set[str] = set()
    for x, y, name in points:
        if name in named:  # several rows of one model lie on the front
            continue
        for dx, dy in LABEL_PLACES:
            label = axis.annotate(
                name, (x, y), (dx, dy), textcoords="offset points", fontsize="small",
                ha="left" if dx > 0 else "right",
            )  # fmt: skip
            if _fits(label, axis, taken):
                if max(abs(dx), abs(dy)) > LEADER_DISTANCE:
                    axis.annotate("", (x, y), (dx, dy + 4), textcoords="offset points",
                                  arrowprops=LEADER)  # fmt: skip
                taken.append(label.get_window_extent())
                named.add(name)
                break
            label.remove()


def _fits(label: Annotation, axis: Axes, taken: Sequence[Bbox]) -> bool:
    """Whether a label lies inside the axes and covers nothing that is taken."""
    box, frame = label.get_window_extent(), axis.bbox
    inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
    return inside and not any(box.overlaps(other) for other in taken)


class OverviewSection(Section):
    """Which model is best, and at what cost, on one screen."""

    title = "Overview"
    order = 0

    def applies(self, study: ReportedStudy) -> bool:
        return any(read_standings(study, dataset) for dataset in study.settings.datasets)

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {
            "views": [
                _view(study, dataset, standings)
                for dataset in study.settings.datasets
                if (standings := read_standings(study, dataset))
            ]
        }


def _view(study: ReportedStudy, dataset: str, standings: Sequence[Standing]) -> dict[str, Any]:
    """What the first screen shows of one data set."""
    seed = study.settings.seeds[0]

    def pictures(one: Standing) -> Picture:
        run = study.folder.run(dataset, one.model, seed)
        return strip(run.samples(one.sampler), one.name)

    models = best_of_each_model(standings)
    models_with_samples = {one.model for one in models}
    real = study.league[(study.league["dataset"] == dataset) & (study.league["sampler"] == "real")][
        "fdr"
    ]
    scores = [float(value) for value in real if not is_reason(value, "fdr")]
    return {
        "dataset": dataset,
        "winners": [(winner, pictures(winner.standing)) for winner in winners(standings)],
        "figure": cost_figure(standings, scores[0] if scores else None, f"cost-{dataset}")
        if len(standings) > 2  # two points need no figure
        else None,
        "findings": findings(standings, len(study.settings.seeds)),
        "without_samples": [
            name for name in study.settings.models if name not in models_with_samples
        ],
        **_table(
            models,
            [pictures(one) for one in models],
            [run_anchor(study.folder.run(dataset, one.model, seed)) for one in models],
        ),
    }


def _table(
    models: Sequence[Standing], strips: Sequence[Picture], anchors: Sequence[str]
) -> dict[str, Any]:
    """The table of models: heads, rows, and what is the same in all of them.

    Returns:
        heads: of the columns of SHOWN whose cells differ;
        constants: the other ones with their value;
        rows: of cells; `bar` is the width of the score's bar in percent, on a logarithmic scale;
        reasons: why cells are empty, by letter.
    """
    texts = {name: [_shown(one, name) for one in models] for name in SHOWN}
    varied = [name for name in SHOWN if len(set(texts[name])) > 1 or len(models) == 1]
    reasons: dict[str, str] = {}
    largest = max(np.log1p(one.high) for one in models)
    rows = []
    for i, one in enumerate(models):
        cells = []
        for name in varied:
            reason = one.cells[name] if is_reason(one.cells[name], name) else None
            if reason is not None:
                letter = reasons.setdefault(str(reason), ascii_lowercase[len(reasons)])
                cells.append({"text": "–", "letter": letter, "raw": ""})
            else:
                cells.append({"text": texts[name][i], "letter": "", "raw": str(one.cells[name])})
        low, middle, high = (100 * np.log1p(x) / largest for x in (one.low, one.fdr, one.high))
        rows.append(
            {
                "one": one,
                "strip": strips[i],
                "anchor": anchors[i],
                "cells": cells,
                "bar": {"low": low, "middle": middle, "high": high},
                "differs": i + 1 < len(models) and models[i + 1].row not in one.ties,
            }
        )
    conditions = {one.condition for one in models}
    return {
        "heads": [_head(name) for name in varied],
        "constants": [f"{_head(n)}: {texts[n][0]}" for n in SHOWN if n not in varied],
        "condition": None if len(conditions) > 1 else conditions.pop(),
        "rows": rows,
        "reasons": reasons,
    }


def _head(name: str) -> str:
    """The head of a column; times per image are in milliseconds here."""
    return {"seconds_per_image": "ms/image", "evaluations": "NFE"}.get(name, MEASURED[name].head)


def _shown(one: Standing, name: str) -> str:
    """A cell of the table of models."""
    if name == "seconds_per_image" and one.milliseconds is not None:
        return f"{one.milliseconds:.2g}" if one.milliseconds < 100 else f"{one.milliseconds:,.0f}"
    if name == "bits_per_dim" and one.number(name) is not None:
        return f"{one.text(name)} {one.cells['bits_kind']}"
    if name == "copying" and one.number("copying_p") is not None:
        return "yes" if one.copies else "parts" if one.copies_parts else "no"
    if name in ("train_seconds", "parameters") and one.number(name) is not None:
        return f"{one.number(name):,.0f}"
    return one.text(name)
