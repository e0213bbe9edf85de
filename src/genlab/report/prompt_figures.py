"""Figures of the models that take prompts: what ranking and guidance do for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from genlab.report.figures import png

MEASURED = {
    "subject": "every factor of the subject right",
    "all": "every factor right",
    "clip_score": "CLIP score",
}

MARKERS = {"seen": "o", "unseen": "s"}


def _measured(points: pd.DataFrame) -> dict[str, str]:
    """What there is to draw: the subject only where it isn't all there is."""
    alike = (points["subject"] == points["all"]).all()
    return {name: title for name, title in MEASURED.items() if name != "subject" or not alike}


def _curve(points: pd.DataFrame, x: str, y: str, axis: Axes) -> None:
    """`y` against `x` on `axis`, in a colour for each model and dashed for unseen combinations."""
    kinds = [kind for kind in MARKERS if kind in set(points["kind"])]
    sns.lineplot(
        points, x=x, y=y, hue="run", style="kind", style_order=kinds, markers=MARKERS,
        estimator=None, palette="colorblind", lw=1.4, ms=6, ax=axis,
    )  # fmt: skip
    axis.set(ylabel="")
    if y != "clip_score":
        axis.set_ylim(-0.03, 1.03)
        axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.tick_params(labelsize="small")


def ranking_curves(points: pd.DataFrame) -> bytes:
    """Shares right and CLIP score of the best of n candidates, against n.

    Args:
        points: columns run, kind, n, subject, all, clip_score; one guidance scale for each run.
    """
    measured = _measured(points)
    figure, axes = plt.subplots(
        1, len(measured), figsize=(4.2 * len(measured), 3.6), layout="constrained"
    )
    for (name, title), axis in zip(measured.items(), axes, strict=True):
        _curve(points, "n", name, axis)
        axis.set(xscale="log", title=title, xlabel="candidates n, of which CLIP keeps one")
        ticks = sorted(points["n"].unique())
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
    _one_legend(axes)
    return png(figure)


def guidance_curves(points: pd.DataFrame) -> bytes:
    """The same against the guidance scale: of a candidate as it comes, and of the best of all.

    Args:
        points: as `ranking_curves` takes them, at all scales; a column guidance.
    """
    measured = _measured(points)
    counts = sorted({points["n"].min(), points["n"].max()})
    figure, axes = plt.subplots(
        len(counts), len(measured), squeeze=False, layout="constrained", sharex=True,
        figsize=(4.2 * len(measured), 3.1 * len(counts) + 0.5),
    )  # fmt: skip
    for n, line in zip(counts, axes, strict=True):
        part = points[points["n"] == n]
        of = "any candidate" if n == 1 else f"the best of {n}"
        for (name, title), axis in zip(measured.items(), line, strict=True):
            _curve(part, "guidance", name, axis)
            axis.set_title(f"{title}: {of}", size="small")
            axis.set_xlabel("guidance w; 1: the conditional model", size="small")
    _one_legend(axes.flat)
    return png(figure)


def _one_legend(axes: Iterable[Any]) -> None:
    """One legend below all of a figure's `axes`, which show the same lines."""
    for axis in axes:
        found = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        axis.get_legend().remove()
    lines = {name: handle for name, handle in found.items() if name not in ("run", "kind")}
    axis.figure.legend(
        lines.values(), lines, loc="outside lower center", ncols=4, fontsize="small", frameon=False
    )
