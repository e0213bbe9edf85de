"""The section on prompts: whether models draw what a prompt describes."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray
from PIL import Image

from genlab.io.arrays import read_array
from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file
from genlab.results.layout import RunFolder

MEASURES = {
    "subject": "subject right",
    "all": "all factors right",
    "clip_score": "CLIP score",
}
SHARES = ("subject", "all")
MARKERS = {"seen": "o", "unseen": "s"}

Contents = dict[RunFolder, dict[str, Any]]
"""The prompts.json of each run on one data set."""


def _measures(points: pd.DataFrame) -> dict[str, str]:
    """Return the measures to draw: without the subject where it consists of all factors."""
    alike = (points["subject"] == points["all"]).all()
    return {name: title for name, title in MEASURES.items() if name != "subject" or not alike}


def _curve(points: pd.DataFrame, x: str, y: str, axis: Axes) -> None:
    """Draw `y` against `x`, a colour for each run, dashed for unseen combinations."""
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


def _one_legend(axes: Iterable[Any]) -> None:
    """Replace the legends of `axes`, which show the same lines, by one below the figure."""
    for axis in axes:
        handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        axis.get_legend().remove()
    lines = {name: handle for name, handle in handles.items() if name not in ("run", "kind")}
    axis.figure.legend(
        lines.values(), lines, loc="outside lower center", ncols=4, fontsize="small", frameon=False
    )


def ranking_curves(points: pd.DataFrame) -> bytes:
    """Draw shares right and CLIP score of the best of n candidates, against n.

    Args:
        points: columns run, kind, n, subject, all, clip_score; one guidance scale for each run.
    """
    measures = _measures(points)
    figure, axes = plt.subplots(
        1, len(measures), figsize=(4.2 * len(measures), 3.6), layout="constrained"
    )
    for (name, title), axis in zip(measures.items(), axes, strict=True):
        _curve(points, "n", name, axis)
        axis.set(xscale="log", title=title, xlabel="candidates n (CLIP selects one)")
        ticks = sorted(points["n"].unique())
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
    _one_legend(axes)
    return png(figure)


def guidance_curves(points: pd.DataFrame) -> bytes:
    """Draw the same against the guidance scale, for one candidate and for the best of all.

    Args:
        points: as `ranking_curves` takes them, at all scales; a column guidance.
    """
    measures = _measures(points)
    counts = sorted({points["n"].min(), points["n"].max()})
    figure, axes = plt.subplots(
        len(counts), len(measures), squeeze=False, layout="constrained", sharex=True,
        figsize=(4.2 * len(measures), 3.1 * len(counts) + 0.5),
    )  # fmt: skip
    for n, line in zip(counts, axes, strict=True):
        part = points[points["n"] == n]
        picture = "one candidate" if n == 1 else f"best of {n}"
        for (name, title), axis in zip(measures.items(), line, strict=True):
            _curve(part, "guidance", name, axis)
            axis.set_title(f"{title}, {picture}", size="small")
            axis.set_xlabel("guidance scale w (1: conditional model)", size="small")
    _one_legend(axes.flat)
    return png(figure)


def _name(run: RunFolder) -> str:
    """Name a run among those on the same data."""
    return f"{run.model_name}, {run.folder.name.replace('seed', 'seed ')}"


def _picture(pixels: NDArray[np.uint8]) -> str:
    """Return uint8 [C, H, W] as the data URI of a PNG."""
    file = BytesIO()
    image = pixels.transpose(1, 2, 0)
    Image.fromarray(image[..., 0] if len(pixels) == 1 else image).save(file, format="PNG")
    return data_uri(file.getvalue())


def _sheet(run: RunFolder, name: str) -> str:
    """Return one of the pictures that the stage `prompts` wrote."""
    return data_uri((run.prompt_figures / f"{name}.png").read_bytes())


def _grid(contents: Contents) -> dict[str, Any]:
    """Return a line for each prompt, with the selected picture of each run."""
    kept = {run: read_array(run.kept) for run in contents}
    prompts = next(iter(contents.values()))["shown"]
    return {
        "heads": [_name(run) for run in contents],
        "rows": [
            {
                "kind": prompt["kind"],
                "prompt": prompt["prompt"],
                "cells": [
                    {"picture": _picture(kept[run][i]), "right": content["shown"][i]["right"]}
                    for run, content in contents.items()
                ],
            }
            for i, prompt in enumerate(prompts)
        ],
    }


def _table(contents: Contents) -> dict[str, Any]:
    """Return shares right before and after ranking, for each kind of prompt; real images first."""
    first = next(iter(contents.values()))
    names, several = first["factors"], len(first["factors"]) > 1
    whole = list(SHARES) if several else []
    rows = [
        {
            "run": "real images", "kind": kind, "picture": "original", "guidance": None,
            "shares": [judgement[name] for name in whole]
            + [judgement["factors"][name] for name in names],
            "clip_score": None,
        }
        for kind, judgement in first["judge"].items()
    ]  # fmt: skip
    for run, content in contents.items():
        for kind, scales in content["kinds"].items():
            scale = scales[content["chosen"]]
            ends = {"any candidate": 0}
            if content["candidates"] > 1:
                ends[f"best of {content['candidates']}"] = -1
            rows += [
                {
                    "run": _name(run), "kind": kind, "picture": name, "guidance": scale["guidance"],
                    "shares": [scale[share][end] for share in whole]
                    + [scale["factors"][factor][end] for factor in names],
                    "clip_score": scale["clip_score"][end],
                }
                for name, end in ends.items()
            ]  # fmt: skip
    return {"heads": [*whole, *names], "rows": rows}


def _points(contents: Contents) -> pd.DataFrame:
    """Return a row for each run, kind of prompt, guidance scale and number of candidates."""
    rows = [
        {
            "run": _name(run), "kind": kind, "n": n, "guidance": scale["guidance"],
            "chosen": scale is scales[content["chosen"]],
        } | {name: scale[name][i] for name in MEASURES}
        for run, content in contents.items()
        for kind, scales in content["kinds"].items()
        for scale in scales
        for i, n in enumerate(content["counts"])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _part(dataset: str, contents: Contents) -> dict[str, Any]:
    """Return what the template shows of one data set."""
    points, first = _points(contents), next(iter(contents.values()))
    figures = {}
    if points["n"].max() > 1:
        figures["ranking"] = ranking_curves(points[points["chosen"]])
    if points["guidance"].nunique() > 1:
        figures["guidance"] = guidance_curves(points)
    return {
        "dataset": dataset,
        "clip": first["clip"],
        "judge": first["judge"],
        "subject": first["subject"] if len(first["factors"]) > 1 else [],
        "grid": _grid(contents),
        "table": _table(contents),
        "figures": {name: data_uri(picture) for name, picture in figures.items()},
        "sheets": {_name(run): _sheet(run, "candidates") for run in contents},
        "attention": [
            {"run": _name(run), "prompt": prompt, "picture": _sheet(run, f"attention-{kind}")}
            for run, content in contents.items()
            for kind, prompt in content["attention"].items()
        ],
    }


class PromptsSection(Section):
    """Pictures and accuracies of models that take prompts."""

    title = "Prompts"
    order = 60

    def applies(self, study: ReportedStudy) -> bool:
        return bool(self._runs(study))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        contents: dict[str, Contents] = {}
        for run in self._runs(study):
            content = read_run_file(run, run.prompts / "prompts.json")
            contents.setdefault(run.dataset, {})[run] = content
        return {"parts": [_part(dataset, one) for dataset, one in contents.items()]}

    def _runs(self, study: ReportedStudy) -> list[RunFolder]:
        """Return the runs that take prompts, on data sets with at least two classes.

        With one class, all captions are the same.
        """
        runs = study.runs_where(lambda family: family.takes_prompts)
        return [run for run in runs if len(study.manifests[run.dataset]["classes"]) > 1]
