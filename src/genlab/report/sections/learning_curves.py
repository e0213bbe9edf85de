"""The section on learning curves: quality along the training, and when the ranking settled."""

from __future__ import annotations

from itertools import permutations
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, PercentFormatter
from scipy.stats import kendalltau

from genlab.report.curves import QUALITY, drawn_models, learning_curves
from genlab.report.figures import data_uri, palette, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

BUDGETS = {"images": "training images processed", "seconds": "seconds of training"}
RANKED_BY = "fid_held_out"


class Agreement(NamedTuple):
    """How the ranking of the models at one share of the training agrees with the one at its end.

    Attributes:
        tau: Kendall's tau-b, 1 where both rankings are the same; None for one model.
        swapped: pairs of models, the one that was ahead and ends behind first.
    """

    share: float
    tau: float | None
    swapped: list[tuple[str, str]]


def agreements(points: pd.DataFrame) -> list[Agreement]:
    """Compare the ranking at each share with the one at the end.

    Args:
        points: of one data set, as `learning_curves` returns them. Models rank by the mean of
            RANKED_BY over their seeds.
    """
    table = points.pivot_table(index="share", columns="model", values=RANKED_BY).dropna(axis=1)
    if not len(table):
        return []
    end = table.iloc[-1]  # sorted by share
    result = []
    for share, (_, values) in zip(table.index.tolist(), table.iterrows(), strict=True):
        tau = float(kendalltau(values, end).statistic) if len(end) > 1 else None
        swapped = [(a, b) for a, b in permutations(end.index, 2)
                   if values[a] < values[b] and end[a] > end[b]]  # fmt: skip
        result.append(Agreement(share, tau, swapped))
    return result[:-1]


def _lines(axis: Axes, points: pd.DataFrame, x: str, y: str) -> None:
    """Draw `y` against `x`, a line for each model and seed in the colour of the model."""
    models = list(dict.fromkeys(points["model"]))
    colours = palette(len(models))
    for model, colour in zip(models, colours, strict=True):
        of_model = points[points["model"] == model]
        for i, (_, run) in enumerate(of_model.groupby("seed")):
            label = None if i else model
            axis.plot(run[x], run[y], color=colour, marker="o", ms=4, lw=1.3, label=label)
    axis.set_xscale("log")


def quality_curves(points: pd.DataFrame) -> bytes:
    """Draw FD to held-out images against images and against seconds, a line for each run."""
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 3.8), sharey=True, layout="constrained")
    for axis, (budget, label) in zip(axes, BUDGETS.items(), strict=True):
        _lines(axis, points, budget, RANKED_BY)
        axis.set(yscale="log", xlabel=label)
    axes[0].xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[0].set_ylabel(QUALITY[RANKED_BY])
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside right center", fontsize="small",
        frameon=False,
    )  # fmt: skip
    return png(figure)


def memory_curves(points: pd.DataFrame) -> bytes:
    """Draw the FD gap and the share of copies against the images, a line for each run."""
    figure, axes = plt.subplots(1, 2, figsize=(10.5, 3.4), layout="constrained")
    for axis, column in zip(axes, ("fid_gap", "copied"), strict=True):
        _lines(axis, points, "images", column)
        axis.set_xlabel(BUDGETS["images"])
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[0].axhline(0, color="0.3", ls="--", lw=1)
    axes[0].set_ylabel("FD∞ to held-out\n− FD∞ to training")
    axes[1].set_ylabel("copies among the samples")
    axes[1].yaxis.set_major_formatter(PercentFormatter(1))
    return png(figure)


class LearningCurvesSection(Section):
    """Quality along the training, and whether the ranking is settled."""

    title = "Is the ranking settled?"
    order = 17
    introduction = (
        "Samples of every model at several points of its training, drawn by one sampler from the "
        "same noise. Learning rates follow a schedule of the whole training, so a point in the "
        "middle is worse than the end of a shorter training would be. Images and seconds of a "
        "second stage are its own."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(drawn_models(study.settings))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        points = learning_curves(study)
        return {
            "extractor": study.settings.evaluation.extractors[0],
            "rows": points.drop_duplicates("model")[["model", "row"]].to_dict("records"),
            "plots": [
                {
                    "dataset": dataset,
                    "quality": data_uri(quality_curves(part)),
                    "memory": data_uri(memory_curves(part)),
                    "agreements": agreements(part),
                }
                for dataset, part in points.groupby("dataset", sort=False)
                if part[RANKED_BY].notna().any()  # none where there are too few training images
            ],
        }
