"""The section on samplers: quality and cost of every sampler on every model."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator

from genlab.config.samplers import PathSampler, SamplerConfig, SteppedSampler
from genlab.report.figures import MARKERS, PLAIN, data_uri, png
from genlab.report.league import HEADS, in_features_of
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

FID = HEADS["fid"]
MEASURED = {
    "fid": "fid",
    "precision": "precision",
    "recall": "recall",
    "evaluations": "evaluations",
    "seconds_per_image": "seconds",
}
COSTS = {"evaluations": "network evaluations per sample", "seconds": "seconds per sample"}
TOLERANCES = ("rtol", "atol")  # settings of an adaptive sampler, instead of steps


def line_of(sampler: PathSampler) -> str:
    """Describe a sampler without the settings that a figure sweeps.

    That is its kind and every setting that differs from its default, except the number of steps,
    the tolerances and the guidance scale.
    """
    parts = [sampler.sampler]
    for name, field in type(sampler).model_fields.items():
        value = getattr(sampler, name)
        if name in ("sampler", "steps", "guidance", *TOLERANCES) or value == field.default:
            continue
        parts.append(name if value is True else f"{name} {value}")
    return ", ".join(parts)


def budget_of(sampler: PathSampler) -> str:
    """Describe the number of steps, or the tolerances of an adaptive sampler."""
    if isinstance(sampler, SteppedSampler):
        return f"{sampler.steps} steps"
    return ", ".join(f"{name} {getattr(sampler, name):g}" for name in TOLERANCES)


def path_rows(
    league: pd.DataFrame, samplers: dict[str, SamplerConfig], extractor: str
) -> pd.DataFrame:
    """Select the rows of the league by samplers on a Gaussian path, in one extractor's features.

    Returns:
        A row for each data set, model and sampler, the mean over seeds. Columns model (followed
        by its data set if there are several), sampler (the row's name), line (`line_of`),
        budget, steps (NaN for an adaptive sampler), guidance, the values of MEASURED, and real:
        the FID of held-out images, NaN where the study has no such row.
    """
    on_path = {row: s for row, s in samplers.items() if isinstance(s, PathSampler)}
    of_extractor = league[in_features_of(league, extractor)]
    rows = of_extractor[of_extractor["sampler"].isin(on_path)].rename(columns=MEASURED)
    rows = rows.astype(dict.fromkeys(MEASURED.values(), float))
    keys = ["dataset", "model", "sampler"]
    rows = rows.groupby(keys, sort=False)[list(MEASURED.values())].mean().reset_index()
    real = of_extractor[of_extractor["sampler"] == "real"].set_index("dataset")["fid"].astype(float)
    several = rows["dataset"].nunique() > 1
    models = rows["model"] + (" (" + rows["dataset"] + ")" if several else "")
    kinds = [on_path[row] for row in rows["sampler"]]
    return rows.assign(
        model=models,
        line=[line_of(kind) for kind in kinds],
        budget=[budget_of(kind) for kind in kinds],
        steps=[kind.steps if isinstance(kind, SteppedSampler) else math.nan for kind in kinds],
        guidance=[kind.guidance for kind in kinds],
        real=rows["dataset"].map(real),
    )


def sampler_matrix(rows: pd.DataFrame) -> bytes:
    """Draw the FID of every sampler (rows) on every model (columns), the best of each framed.

    Args:
        rows: as `path_rows` returns them.
    """
    table = rows.pivot_table(index="sampler", columns="model", values="fid", sort=False)
    figure, axis = plt.subplots(
        figsize=(1.15 * table.shape[1] + 2.6, 0.34 * len(table) + 1.3), layout="constrained"
    )
    sns.heatmap(
        table,
        annot=table.map(lambda value: f"{value:.3g}"),
        fmt="",
        annot_kws={"size": "small"},
        norm=LogNorm(),
        cmap="viridis_r",
        linewidths=1.5,
        cbar_kws={"label": FID, "aspect": 40, "format": PLAIN, "ticks": LogLocator(subs=(1, 3))},
        ax=axis,
    )
    for column, best in enumerate(np.nanargmin(table, axis=0)):
        frame = Rectangle((column, best), 1, 1, fill=False, ec="crimson", lw=2, clip_on=False)
        axis.add_patch(frame)
    scale = figure.axes[-1]  # the colour bar
    scale.minorticks_off()
    scale.tick_params(labelsize="small")
    axis.set(xlabel="", ylabel="")
    axis.grid(visible=False)
    axis.tick_params(axis="x", rotation=0 if table.shape[1] < 6 else 30, labelsize="small")
    axis.tick_params(axis="y", rotation=0, labelsize="small")
    return png(figure)


def _panels(rows: pd.DataFrame, panel: str, x: str, hue: str) -> tuple[Figure, dict[str, Axes]]:
    """Draw FID against `x`, a panel for each value of `panel` and a line for each of `hue`."""
    panels, kinds = (list(dict.fromkeys(rows[column])) for column in (panel, hue))
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    figure, axes = plt.subplots(
        -(-len(panels) // columns), columns, squeeze=False, sharex=True, sharey=True,
        figsize=(3.9 * columns + 1.8, 3.3 * -(-len(panels) // columns)), layout="constrained",
    )  # fmt: skip
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    colours = sns.color_palette("colorblind", len(kinds))  # repeats after ten; markers differ
    for name, axis in zip(panels, axes.flat, strict=False):
        part = rows[rows[panel] == name].sort_values("evaluations", kind="stable")
        sns.lineplot(
            part, x=x, y="fid", hue=hue, style=hue, hue_order=kinds, style_order=kinds,
            palette=colours, markers=list(MARKERS[: len(kinds)]), dashes=False, estimator=None,
            sort=False, lw=1.4, ms=6, ax=axis,
        )  # fmt: skip
        axis.set(xscale="log", yscale="log", title=name, ylabel=FID)
        for scale, figures in ((axis.xaxis, (1, 2, 5)), (axis.yaxis, (1, 2, 3, 5))):
            scale.set_major_locator(LogLocator(subs=figures))
            scale.set_major_formatter(PLAIN)
        axis.minorticks_off()
        axis.tick_params(labelbottom=True, labelsize="small")  # below every panel
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small", frameon=False)
    return figure, dict(zip(panels, axes.flat, strict=False))


def quality_by_cost(rows: pd.DataFrame, cost: str) -> bytes:
    """Draw FID against the cost of a sample: a panel for each model, a line for each sampler.

    Args:
        rows: as `path_rows` returns them.
        cost: 'evaluations' or 'seconds'.
    """
    figure, axes = _panels(rows, "model", cost, "line")
    real = rows.groupby("model")["real"].first()
    for model, axis in axes.items():
        axis.axhline(real[model], color="0.3", ls="--", lw=1)  # draws nothing for NaN
        axis.set_xlabel(COSTS[cost])
    return png(figure)


def step_curves(rows: pd.DataFrame) -> bytes:
    """Draw FID against the number of steps: a panel for each sampler, a line for each model.

    Args:
        rows: as `path_rows` returns them, of samplers that take a number of steps.
    """
    figure, axes = _panels(rows, "line", "steps", "model")
    ticks = sorted(rows["steps"].unique())
    for axis in axes.values():
        axis.set_xticks(ticks)
        axis.set_xlabel("steps")
    return png(figure)


def guidance_sweep(rows: pd.DataFrame) -> bytes:
    """Draw FID, precision (fidelity) and recall (diversity) against the guidance scale w.

    Args:
        rows: as `path_rows` returns them; a line for each model, sampler and budget.
    """
    lines = rows.assign(label=rows["model"] + ", " + rows["line"] + ", " + rows["budget"])
    panels = {"fid": FID, "precision": "precision (fidelity)", "recall": "recall (diversity)"}
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.5), layout="constrained")
    for (column, title), axis in zip(panels.items(), axes, strict=True):
        sns.lineplot(
            lines, x="guidance", y=column, hue="label", style="label", markers=True, dashes=False,
            estimator=None, palette="colorblind", lw=1.4, ms=6, ax=axis,
        )  # fmt: skip
        axis.axvline(1, color="0.3", ls=":", lw=1)
        axis.set(
            title=title, xlabel="guidance scale w (0: unconditional, 1: conditional)", ylabel=""
        )
        axis.xaxis.label.set_size("small")
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize="small",
                  frameon=False)  # fmt: skip
    return png(figure)


def _varied(rows: pd.DataFrame, columns: list[str], setting: str) -> pd.Series[bool]:
    """Return which rows share `columns` with a row that has another value of `setting`."""
    return rows.groupby(columns)[setting].transform("nunique") > 1


def figure_rows(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each figure that has something to compare.

    Args:
        rows: as `path_rows` returns them.

    Returns:
        Some of the keys of `FIGURES`.
    """
    selection: dict[str, pd.DataFrame] = {}
    if rows["model"].nunique() > 1 and rows["sampler"].nunique() > 1:
        selection["matrix"] = rows
    plain = rows[rows["guidance"] == 1]
    swept = plain[_varied(plain, ["model", "line"], "budget")]
    if len(swept):
        selection |= dict.fromkeys(COSTS, plain)
        lines = plain[plain["line"].isin(swept["line"])].dropna(subset=["steps"])
        if len(lines):  # an adaptive sampler has no number of steps
            selection["steps"] = lines
    guided = rows[_varied(rows, ["model", "line", "budget"], "guidance")]
    if len(guided):
        selection["guidance"] = guided
    return selection


FIGURES: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "matrix": sampler_matrix,
    "evaluations": partial(quality_by_cost, cost="evaluations"),
    "seconds": partial(quality_by_cost, cost="seconds"),
    "steps": step_curves,
    "guidance": guidance_sweep,
}


class SamplersSection(Section):
    """FID of each sampler on each model against cost, steps and guidance."""

    title = "Samplers"
    order = 30

    def applies(self, study: ReportedStudy) -> bool:
        return bool(figure_rows(self._rows(study)))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        selection = figure_rows(self._rows(study))
        return {
            "extractor": study.settings.evaluation.extractors[0],
            "figures": {name: data_uri(FIGURES[name](rows)) for name, rows in selection.items()},
        }

    def _rows(self, study: ReportedStudy) -> pd.DataFrame:
        settings = study.settings
        return path_rows(study.league, settings.samplers, settings.evaluation.extractors[0])
