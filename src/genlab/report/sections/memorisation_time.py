"""The section on memorisation: when copying begins, for training sets of several sizes.

A diffusion model begins to draw good samples after a time that does not depend on the number n of
its training images, and begins to copy them after a time proportional to n (Bonnaire et al. 2025,
arXiv:2505.17638). Between the two it generalises. Time is the number of images processed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, PercentFormatter, ScalarFormatter
from numpy.typing import ArrayLike
from scipy.stats import t as student

from genlab.report.curves import drawn_models, learning_curves
from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

COPYING = 0.05
"""Copying has begun when this share of the samples are copies."""
GOOD = 0.1
"""Samples are good when FD to held-out images has fallen to this share of the highest of the run.

The lowest FD is no measure: it depends on n.
"""
SIZES = 3
"""Fewest sizes of the training set that a slope is fitted to."""
TIMES = {"copying": "copying begins", "good": "good samples begin"}


def crossing(times: ArrayLike, values: ArrayLike, level: float) -> float | None:
    """The first time at which rising `values` reach `level`, linear in between in log time.

    None if they never do, or did so before the first time.
    """
    log_times, heights = np.log(np.asarray(times, float)), np.asarray(values, float)
    above = np.flatnonzero(heights >= level)
    if not len(above) or above[0] == 0:
        return None
    k = above[0]
    weight = (level - heights[k - 1]) / (heights[k] - heights[k - 1])
    return float(np.exp(log_times[k - 1] + weight * (log_times[k] - log_times[k - 1])))


class Slope(NamedTuple):
    """The exponent b of time = a n^b, by least squares of the logarithms.

    Attributes:
        low, high: its 95 % interval, by Student's t with two degrees of freedom less than points.
    """

    b: float
    low: float
    high: float
    log_a: float


def fit_slope(n: ArrayLike, times: ArrayLike) -> Slope | None:
    """Fit time = a n^b; None for fewer than three sizes n."""
    x, y = np.log(np.asarray(n, float)), np.log(np.asarray(times, float))
    if len({*x.tolist()}) < SIZES:
        return None
    spread = np.square(x - x.mean()).sum()
    b = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    log_a = float(y.mean() - b * x.mean())
    degrees = len(x) - 2
    variance = np.square(y - log_a - b * x).sum() / degrees
    half = float(student.ppf(0.975, degrees) * np.sqrt(variance / spread))
    return Slope(b, b - half, b + half, log_a)


def run_times(points: pd.DataFrame) -> pd.DataFrame:
    """When copying and good samples begin in each run.

    Args:
        points: as `learning_curves` returns them, with the column n, the training images.

    Returns:
        Columns n, seed, copying and good: images processed, NaN where the curve doesn't tell.
    """
    rows = []
    for (n, seed), run in points.groupby(["n", "seed"]):
        quality = run["fid_held_out"]
        rows.append(
            {
                "n": n,
                "seed": seed,
                "copying": crossing(run["images"], run["copied"], COPYING),
                "good": crossing(run["images"], -quality, -GOOD * quality.max()),
            }
        )
    return pd.DataFrame(rows).astype({"copying": float, "good": float})


def slopes(times: pd.DataFrame) -> dict[str, Slope | None]:
    """The slope of each time, from the runs that have it."""
    parts = {name: times.dropna(subset=[name]) for name in TIMES}
    return {name: fit_slope(part["n"], part[name]) for name, part in parts.items()}


def _curves(axis: Axes, points: pd.DataFrame, column: str) -> None:
    """Draw a column against images processed, a colour for each n and a line for each seed."""
    sizes = sorted(points["n"].unique())
    for n, colour in zip(sizes, sns.color_palette("flare", len(sizes)), strict=True):
        for i, (_, run) in enumerate(points[points["n"] == n].groupby("seed")):
            label = None if i else f"n = {n:,}"
            axis.plot(run["images"], run[column], color=colour, marker="o", ms=3, label=label)
    axis.set(xscale="log", xlabel="images processed")
    axis.xaxis.set_major_formatter(EngFormatter(sep=""))


def memorisation_plot(points: pd.DataFrame) -> bytes:
    """Draw quality and copies along the training, and both times against n with their fits."""
    figure, (quality, copied, axis) = plt.subplots(
        1, 3, figsize=(14, 3.8), layout="constrained"
    )  # fmt: skip
    _curves(quality, points, "fid_held_out")
    quality.set(yscale="log", ylabel="FD to held-out images")
    quality.legend(fontsize="x-small")
    _curves(copied, points, "copied")
    copied.axhline(COPYING, color="0.3", ls="--", lw=1)
    copied.set_ylabel("copies among the samples")
    copied.yaxis.set_major_formatter(PercentFormatter(1))
    times = run_times(points)
    for (name, label), colour in zip(TIMES.items(), sns.color_palette("colorblind"), strict=False):
        axis.plot(times["n"], times[name], color=colour, marker="o", ls="", label=label)
        if slope := slopes(times)[name]:
            ends = np.array([times["n"].min(), times["n"].max()])
            axis.plot(ends, np.exp(slope.log_a) * ends**slope.b, color=colour, lw=1)
    axis.set(xscale="log", yscale="log", xlabel="training images n", ylabel="images processed")
    axis.set_xticks(sorted(times["n"].unique()))
    axis.xaxis.set_major_formatter(ScalarFormatter())
    axis.minorticks_off()
    axis.legend(fontsize="x-small")
    return png(figure)


class MemorisationTimeSection(Section):
    """When copying begins, for training sets of several sizes."""

    title = "Memorisation and the size of the training set"
    order = 18
    introduction = (
        "The same model, trained on more and more of the same images. In theory good samples begin "
        "at a time that does not depend on their number n, and copying begins at a time in "
        "proportion to n: the exponents are 0 and 1 "
        "(Bonnaire et al. 2025, arXiv:2505.17638). Time is the number of images processed."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(drawn_models(study.settings)) and len(self._sizes(study)) >= SIZES

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        sizes, points = self._sizes(study), learning_curves(study)
        points = points[points["dataset"].isin(sizes)].assign(n=points["dataset"].map(sizes))
        return {
            "copying": COPYING,
            "good": GOOD,
            "labels": TIMES,
            "models": [
                {
                    "name": model,
                    "figure": data_uri(memorisation_plot(part)),
                    "times": run_times(part).to_dict("records"),
                    "slopes": slopes(run_times(part)),
                }
                for model, part in points.groupby("model", sort=False)
            ],
        }

    def _sizes(self, study: ReportedStudy) -> dict[str, int]:
        """The number of training images of each data set; none where their sources differ."""
        if len({config.source for config in study.settings.datasets.values()}) > 1:
            return {}
        counts = {name: part["train"]["images"] for name, part in study.manifests.items()}
        return counts if len({*counts.values()}) == len(counts) else {}
