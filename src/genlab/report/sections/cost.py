"""The section on cost: quality against cost of all rows; seconds and memory of every job."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from genlab.config.evaluators import CALIBRATION
from genlab.report.figures import MARKERS, PLAIN, data_uri, mark, palette, png
from genlab.report.league import MEASURED
from genlab.report.sections import Section
from genlab.report.standings import Standing, front, read_standings, rows_with_cost
from genlab.report.study import ReportedStudy

COSTS = (
    "seconds_per_image", "evaluations", "train_seconds", "parameters", "train_joules",
    "joules_per_image",
)  # fmt: skip
"""Columns of the league that say what a row costs."""
UNEVEN = 1.3
"""Ratio between the times of an evaluation of one network from which readers are warned."""


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


def fronts(standings: Sequence[Standing]) -> dict[str, list[tuple[float, Standing]]]:
    """The front of each cost that differs between rows: pairs of cost and row."""
    numbers = {cost: {number for number, _ in rows_with_cost(standings, cost)} for cost in COSTS}
    return {cost: front(standings, cost) for cost in COSTS if len(numbers[cost]) > 1}


def pareto_plot(standings: Sequence[Standing]) -> bytes:
    """Draw FDr against each cost: a colour for each model, a marker for each sampler.

    A line joins the rows on the Pareto front. Rows that copy training images have hollow marks and
    are left out of it.

    Args:
        standings: of one data set.
    """
    shown = fronts(standings)
    columns = min(len(shown), 3)
    height = -(-len(shown) // columns)
    figure, axes = plt.subplots(
        height, columns, figsize=(3.9 * columns + 2, 3.3 * height), squeeze=False, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    models, samplers = (
        list(dict.fromkeys(names)) for names in zip(*(one.row for one in standings), strict=True)
    )
    colours = dict(zip(models, palette(len(models)), strict=True))
    markers = dict(zip(samplers, cycle(MARKERS), strict=False))
    for axis, (cost, best) in zip(axes.flat, shown.items(), strict=False):
        axis.plot([x for x, _ in best], [one.fdr for _, one in best], color="0.4", lw=1, zorder=1)
        rows = rows_with_cost(standings, cost)
        for x, one in rows:
            colour, marker = colours[one.model], markers[one.sampler]
            mark(axis, x, one.fdr, colour, marker, hollow=one.copies)
        _scale(axis, [x for x, _ in rows])
        axis.set_xlabel(MEASURED[cost].head)
    for axis in axes[:, 0]:
        axis.set_ylabel(MEASURED["fdr"].head)
    handles = [Line2D([], [], color=c, marker="o", ls="", label=m) for m, c in colours.items()]
    handles += [Line2D([], [], color="0.4", marker=m, ls="", label=s) for s, m in markers.items()]
    figure.legend(handles=handles, loc="outside right upper", fontsize="x-small", frameon=False)
    return png(figure)


def _scale(axis: Axes, costs: Sequence[float]) -> None:
    """Make both axes logarithmic, that of costs where all are positive; with plain numbers."""
    if min(costs) > 0:
        axis.set_xscale("log")
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
        standings = {name: read_standings(study, name) for name in study.settings.datasets}
        plots = [
            {
                "dataset": dataset,
                "figure": data_uri(pareto_plot(rows)),
                "fronts": [
                    {"cost": MEASURED[cost].head, "rows": [one.name for _, one in best]}
                    for cost, best in shown.items()
                ],
            }
            for dataset, rows in standings.items()
            if len(rows) > 2 and (shown := fronts(rows))  # two points need no figure
        ]
        return {
            "uneven": uneven_times(study.league),
            "ratio": UNEVEN,
            "plots": plots,
            "jobs": costs.to_dict("records"),
            "seconds": costs["seconds"].sum(),
            "figure": data_uri(cost_bars(costs)),
        }
