"""The section on cost: quality against cost of all rows; seconds and memory of every job."""

from __future__ import annotations

from itertools import cycle
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from genlab.config.evaluators import CALIBRATION
from genlab.evaluation.metrics import Column
from genlab.report.figures import MARKERS, PLAIN, data_uri, palette, png
from genlab.report.league import MEASURED, in_features_of
from genlab.report.pareto import on_front
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

COSTS = (
    "seconds_per_image", "evaluations", "train_seconds", "parameters", "train_joules",
    "joules_per_image",
)  # fmt: skip
"""Columns of the league that say what a row costs."""
QUALITY = "fdr"
"""Column of the score that ranks rows."""
UNEVEN = 1.3
"""Ratio between the times of an evaluation of one network from which readers are warned."""


def cost_rows(league: pd.DataFrame, extractor: str, quality: Column) -> pd.DataFrame:
    """The rows of all models in the features of `extractor`, each the mean over the seeds.

    Returns:
        Columns dataset, model, sampler, `quality` and COSTS; NaN where there is no number.
    """
    models = league[in_features_of(league, extractor) & (league["model"] != CALIBRATION)]
    numbers = [quality.name, *COSTS]
    rows = models.assign(**{n: pd.to_numeric(models[n], errors="coerce") for n in numbers})
    keys = ["dataset", "model", "sampler"]
    means = rows.groupby(keys, sort=False)[numbers].mean().reset_index()
    return means.dropna(subset=[quality.name])


def uneven_times(league: pd.DataFrame) -> list[str]:
    """Return the models whose rows differ in the time of a network evaluation by more than UNEVEN.

    The network is the same in all of them, so either a neighbour on the machine disturbed a
    measurement, or one sampler computes in another precision or much beside the network.
    """
    models = league[league["model"] != CALIBRATION]
    times = pd.to_numeric(models["milliseconds_per_evaluation"], errors="coerce")
    groups = times.groupby([models["dataset"], models["model"], models["seed"]], sort=False)
    ratios = (groups.max() / groups.min()).groupby(level="model", sort=False).max()
    return [f"{name} ({ratio:.2g} times)" for name, ratio in ratios.items() if ratio > UNEVEN]


class Front(NamedTuple):
    """The rows on a Pareto front, from the cheapest to the best: `cost` is the column's head."""

    cost: str
    rows: list[str]


def fronts(rows: pd.DataFrame, quality: Column) -> dict[str, pd.DataFrame]:
    """The rows on the front of each cost that differs between rows, from the cheapest."""
    sign = -1 if quality.better == "higher" else 1
    result = {}
    for cost in COSTS:
        part = rows.dropna(subset=[cost])
        if part[cost].nunique() > 1:
            front = on_front(part[cost].to_numpy(), sign * part[quality.name].to_numpy())
            result[cost] = part[front].sort_values([cost, quality.name])
    return result


def pareto_plot(rows: pd.DataFrame, quality: Column) -> bytes:
    """Draw quality against each cost: a colour for each model, a marker for each sampler.

    A line joins the rows on the Pareto front.

    Args:
        rows: as `cost_rows` returns them, of one data set.
    """
    shown = fronts(rows, quality)
    columns = min(len(shown), 3)
    height = -(-len(shown) // columns)
    figure, axes = plt.subplots(
        height, columns, figsize=(3.9 * columns + 2, 3.3 * height), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    models, samplers = (list(dict.fromkeys(rows[name])) for name in ("model", "sampler"))
    colours = dict(zip(models, palette(len(models)), strict=True))
    markers = dict(zip(samplers, cycle(MARKERS), strict=False))
    for axis, (cost, front) in zip(axes.flat, shown.items(), strict=False):
        axis.plot(front[cost], front[quality.name], color="0.4", lw=1, zorder=1)
        for _, row in rows.dropna(subset=[cost]).iterrows():
            axis.scatter(
                row[cost], row[quality.name], color=colours[row["model"]],
                marker=markers[row["sampler"]], s=36, linewidths=0.4, edgecolors="white", zorder=2,
            )  # fmt: skip
        _scale(axis, rows, cost, quality.name)
        axis.set_xlabel(MEASURED[cost].head)
    for axis in axes[:, 0]:
        axis.set_ylabel(quality.head)
    handles = [Line2D([], [], color=c, marker="o", ls="", label=m) for m, c in colours.items()]
    handles += [Line2D([], [], color="0.4", marker=m, ls="", label=s) for s, m in markers.items()]
    figure.legend(handles=handles, loc="outside right upper", fontsize="x-small", frameon=False)
    return png(figure)


def _scale(axis: Axes, rows: pd.DataFrame, cost: str, quality: str) -> None:
    """Make an axis logarithmic where all of its numbers are positive, with plain numbers."""
    if (rows[cost].dropna() > 0).all():
        axis.set_xscale("log")
    if (rows[quality] > 0).all():
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(PLAIN)
        axis.yaxis.set_minor_formatter(NullFormatter())


def cost_bars(costs: pd.DataFrame) -> bytes:
    """Draw wall-clock seconds of all jobs, summed by stage and split by subject.

    Args:
        costs: columns stage, subject, seconds.
    """
    table = costs.pivot_table(
        index="stage", columns="subject", values="seconds", aggfunc="sum", sort=False
    )
    figure, axis = plt.subplots(figsize=(9.2, 0.4 * len(table) + 1.2), layout="constrained")
    colours = palette(len(table.columns))
    table.iloc[::-1].plot.barh(stacked=True, ax=axis, width=0.75, color=colours)
    axis.set(xlabel="wall-clock seconds, summed over jobs", ylabel="")
    axis.legend(fontsize="x-small", title=None, loc="upper left", bbox_to_anchor=(1.01, 1))
    return png(figure)


class CostSection(Section):
    """Quality against cost; time and memory of all jobs."""

    title = "Cost"
    order = 160

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        costs = study.costs
        extractor, quality = study.settings.evaluation.extractors[0], MEASURED[QUALITY]
        rows = cost_rows(study.league, extractor, quality)
        plots = [
            {
                "dataset": dataset,
                "figure": data_uri(pareto_plot(part, quality)),
                "fronts": [
                    Front(MEASURED[cost].head, list(front["model"] + ", " + front["sampler"]))
                    for cost, front in fronts(part, quality).items()
                ],
            }
            for dataset, part in rows.groupby("dataset", sort=False)
            if len(part) > 2 and fronts(part, quality)  # two points need no figure
        ]
        return {
            "quality": quality.head,
            "uneven": uneven_times(study.league),
            "ratio": UNEVEN,
            "plots": plots,
            "jobs": costs.to_dict("records"),
            "seconds": costs["seconds"].sum(),
            "figure": data_uri(cost_bars(costs)),
        }
