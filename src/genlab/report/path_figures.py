"""Figures of the models on a Gaussian path: which sampler, of which model, at what cost."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator

from genlab.config.samplers import PathSampler, SamplerConfig, SteppedSampler
from genlab.report.figures import png
from genlab.report.league import COLUMNS, in_features_of

FID = COLUMNS["fid"]
MEASURED = {
    "fid": "fid",
    "precision": "precision",
    "recall": "recall",
    "evaluations": "evaluations",
    "seconds_per_image": "seconds",
}
COSTS = {"evaluations": "network evaluations a sample", "seconds": "seconds a sample"}
TOLERANCES = ("rtol", "atol")  # of an adaptive sampler, in the place of steps
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
MARKERS = "os^DvPX*<>dph"


def line_of(sampler: PathSampler) -> str:
    """A sampler without what is swept: its kind, and its other settings that aren't defaults.

    Swept are the number of steps, or the tolerance, and the guidance.
    """
    said = [sampler.sampler]
    for name, field in type(sampler).model_fields.items():
        value = getattr(sampler, name)
        if name in ("sampler", "steps", "guidance", *TOLERANCES) or value == field.default:
            continue
        said.append(name if value is True else f"{name} {value}")
    return ", ".join(said)


def budget_of(sampler: PathSampler) -> str:
    """The number of steps, or the tolerance that stands for it."""
    if isinstance(sampler, SteppedSampler):
        return f"{sampler.steps} steps"
    return ", ".join(f"{name} {getattr(sampler, name):g}" for name in TOLERANCES)


def path_rows(
    league: pd.DataFrame, samplers: dict[str, SamplerConfig], extractor: str
) -> pd.DataFrame:
    """The rows of the league that walked a path, in the features of `extractor`.

    Returns:
        A row for each data set, model and sampler, the mean over seeds. Columns place (the model,
        with its data set where there are several), sampler (the row's name), line (`line_of`),
        budget, steps (NaN for an adaptive sampler), guidance, the values of MEASURED, and real:
        the FID of held-out images, NaN where it was not asked for.
    """
    walks = {row: s for row, s in samplers.items() if isinstance(s, PathSampler)}
    of_extractor = league[in_features_of(league, extractor)]
    rows = of_extractor[of_extractor["sampler"].isin(walks)].rename(columns=MEASURED)
    rows = rows.astype(dict.fromkeys(MEASURED.values(), float))
    keys = ["dataset", "model", "sampler"]
    rows = rows.groupby(keys, sort=False)[list(MEASURED.values())].mean().reset_index()
    real = of_extractor[of_extractor["sampler"] == "real"].set_index("dataset")["fid"].astype(float)
    several = rows["dataset"].nunique() > 1
    places = rows["model"] + (" (" + rows["dataset"] + ")" if several else "")
    kinds = [walks[row] for row in rows["sampler"]]
    return rows.assign(
        place=places,
        line=[line_of(kind) for kind in kinds],
        budget=[budget_of(kind) for kind in kinds],
        steps=[float(getattr(kind, "steps", "nan")) for kind in kinds],
        guidance=[kind.guidance for kind in kinds],
        real=rows["dataset"].map(real),
    )


def sampler_matrix(rows: pd.DataFrame) -> bytes:
    """FID of every sampler (down) on every model (across); the best of each model is framed.

    Args:
        rows: as `path_rows` returns them.
    """
    table = rows.pivot_table(index="sampler", columns="place", values="fid", sort=False)
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
    scale = figure.axes[-1]  # the colours'
    scale.minorticks_off()
    scale.tick_params(labelsize="small")
    axis.set(xlabel="", ylabel="")
    axis.grid(visible=False)
    axis.tick_params(axis="x", rotation=0 if table.shape[1] < 6 else 30, labelsize="small")
    axis.tick_params(axis="y", rotation=0, labelsize="small")
    return png(figure)


def _panels(rows: pd.DataFrame, panel: str, x: str, hue: str) -> tuple[Figure, dict[str, Axes]]:
    """FID against `x`, a panel for each value of `panel` and a line for each of `hue`."""
    panels, kinds = (list(dict.fromkeys(rows[column])) for column in (panel, hue))
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    figure, axes = plt.subplots(
        -(-len(panels) // columns), columns, squeeze=False, sharex=True, sharey=True,
        figsize=(3.9 * columns + 1.8, 3.3 * -(-len(panels) // columns)), layout="constrained",
    )  # fmt: skip
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    colours = sns.color_palette("colorblind", len(kinds))  # again after ten; markers differ
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


def quality_against(rows: pd.DataFrame, cost: str) -> bytes:
    """FID against what a sample costs: a panel for each model, a line for each sampler.

    Args:
        rows: as `path_rows` returns them.
        cost: 'evaluations' or 'seconds'.
    """
    figure, axes = _panels(rows, "place", cost, "line")
    real = rows.groupby("place")["real"].first()
    for place, axis in axes.items():
        axis.axhline(real[place], color="0.3", ls="--", lw=1)  # not drawn where it is NaN
        axis.set_xlabel(COSTS[cost])
    return png(figure)


def step_curves(rows: pd.DataFrame) -> bytes:
    """FID against the number of steps: a panel for each sampler, a line for each model.

    Args:
        rows: as `path_rows` returns them, of samplers that take a number of steps.
    """
    figure, axes = _panels(rows, "line", "steps", "place")
    ticks = sorted(rows["steps"].unique())
    for axis in axes.values():
        axis.set_xticks(ticks)
        axis.set_xlabel("steps")
    return png(figure)


def guidance_sweep(rows: pd.DataFrame) -> bytes:
    """FID, precision (fidelity) and recall (diversity) against the guidance scale w.

    Args:
        rows: as `path_rows` returns them; a line for each model, sampler and budget.
    """
    lines = rows.assign(of=rows["place"] + ", " + rows["line"] + ", " + rows["budget"])
    panels = {"fid": FID, "precision": "precision: fidelity", "recall": "recall: diversity"}
    figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.5), layout="constrained")
    for (column, title), axis in zip(panels.items(), axes, strict=True):
        sns.lineplot(
            lines, x="guidance", y=column, hue="of", style="of", markers=True, dashes=False,
            estimator=None, palette="colorblind", lw=1.4, ms=6, ax=axis,
        )  # fmt: skip
        axis.axvline(1, color="0.3", ls=":", lw=1)
        axis.set(title=title, xlabel="guidance w; 0: no class, 1: the conditional model", ylabel="")
        axis.xaxis.label.set_size("small")
        handles, labels = axis.get_legend_handles_labels()
        axis.get_legend().remove()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize="small",
                  frameon=False)  # fmt: skip
    return png(figure)


def two_bounds(runs: dict[str, dict[str, Any]]) -> bytes:
    """Bits/dim of the same weights by the ELBO and by the probability-flow ODE.

    Args:
        runs: the content of each run's likelihood.json, with 'elbo' and 'ode', by its label.
    """
    figure, axis = plt.subplots(figsize=(8.5, 0.5 * len(runs) + 1.4), layout="constrained")
    names = {"elbo": "ELBO: ancestral steps", "ode": "ODE: probability flow"}
    places = np.arange(len(runs))
    for (kind, name), marker in zip(names.items(), "os", strict=True):
        found = pd.DataFrame([run[kind] for run in runs.values()])
        axis.errorbar(
            found["bits_per_dim"], places, xerr=2 * found["standard_error"], fmt=marker, ms=7,
            lw=1.4, capsize=3, label=name,
        )  # fmt: skip
    for place, run in enumerate(runs.values()):
        ends = [run[kind]["bits_per_dim"] for kind in names]
        axis.plot(ends, [place, place], color="0.6", lw=1, zorder=0)
    axis.set_yticks(places, list(runs))
    axis.set(xlabel="bits/dim, with two standard errors", ylim=(len(runs) - 0.4, -0.6))
    figure.legend(loc="outside upper center", ncols=2, fontsize="small", frameon=False)
    return png(figure)


def bound_terms(runs: dict[str, dict[str, Any]]) -> bytes:
    """What each step of the reverse process costs in the variational bound, a line for each run.

    Args:
        runs: the 'terms' of each run's likelihood.json by its label: t and bits_per_dim.
    """
    figure, axis = plt.subplots(figsize=(8.5, 3.6), layout="constrained")
    for label, terms in runs.items():
        axis.plot(terms["t"], terms["bits_per_dim"], lw=1.4, label=label)
    axis.set_xscale("symlog", linthresh=1)  # as a logarithm, from a first t of 0 or 1 on
    axis.set(yscale="log", xlabel="t", ylabel="bits/dim of the step")
    axis.legend(fontsize="small")
    return png(figure)


def round_trips(runs: dict[str, list[dict[str, float]]]) -> bytes:
    """Image to noise and back: the error that is left, against the steps each way.

    Args:
        runs: for each run, by its label, mappings of steps and rmse, pixels on [0, 1].
    """
    figure, axis = plt.subplots(figsize=(6.8, 3.8), layout="constrained")
    for (label, found), marker in zip(runs.items(), MARKERS * len(runs), strict=False):
        table = pd.DataFrame(found)
        axis.plot(table["steps"], table["rmse"], marker=marker, ms=6, lw=1.4, label=label)
    ticks = sorted({int(row["steps"]) for found in runs.values() for row in found})
    axis.set(xscale="log", yscale="log", xlabel="steps each way",
             ylabel="root mean squared error")  # fmt: skip
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend(fontsize="small")
    return png(figure)
