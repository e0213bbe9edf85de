"""The section on losses: training curves and the loss on held-out images."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from genlab.io.history import read_history
from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file

PANELS = 60
"""Most panels of a figure; a study with more models has several figures."""
ON_SOME: dict[str, Any] = {"ls": "--", "lw": 1, "marker": "."}
"""How the losses on some held-out images are drawn"""
ON_ALL: dict[str, Any] = {"ls": "", "marker": "D", "ms": 7, "mec": "white", "zorder": 3}
"""How the loss on all held-out images is drawn"""


def late_range(losses: NDArray[np.float64]) -> tuple[float, float]:
    """The range of a training's losses [N] without the first twentieth and rare peaks.

    The high losses of the first steps would compress the rest of the curve.
    """
    late_losses = losses[len(losses) // 20 :]
    return float(late_losses.min()), float(np.quantile(late_losses, 0.995))


def loss_curves(history: pd.DataFrame, held_out: pd.DataFrame) -> bytes:
    """Draw training loss against images seen, a panel for each model, a line for each seed.

    The losses on some held-out images are a dashed line in the colour of their seed; the one
    on all of them is a point.

    Args:
        history: columns model, seed, images, loss.
        held_out: columns model, seed, images, loss, and all: whether it is that on all images.
    """
    models = list(dict.fromkeys(history["model"]))
    columns = min(len(models), 3)  # more panels side by side would be too narrow
    rows = -(-len(models) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.6 * columns, 3.2 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(models) :]:
        axis.remove()
    for axis, model in zip(axes.flat, models, strict=False):
        part, tested = (table[table["model"] == model] for table in (history, held_out))
        seeds = list(dict.fromkeys(part["seed"]))
        colours = dict(zip(seeds, sns.color_palette("colorblind", len(seeds)), strict=True))
        for seed, curve in part.groupby("seed", sort=False):
            axis.plot(curve["images"], curve["loss"], color=colours[seed], lw=1, label=seed)
        for (seed, on_all), curve in tested.groupby(["seed", "all"], sort=False):
            style = ON_ALL if on_all else ON_SOME
            axis.plot(curve["images"], curve["loss"], color=colours[seed], **style)
        if not tested["all"].all():
            axis.plot([], [], color="0.3", label="some held-out images", **ON_SOME)
        axis.plot([], [], color="0.3", label="all held-out images", **ON_ALL)
        ranges = [late_range(curve["loss"].to_numpy()) for _, curve in part.groupby("seed")]
        low = min(*(low for low, _ in ranges), tested["loss"].min())
        high = max(*(high for _, high in ranges), tested["loss"].iloc[-1])
        axis.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axis.set(title=model, xlabel="images seen", ylabel="training loss")
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))  # 10k: the digits of 10000 would touch
        axis.legend(fontsize="x-small", title="seed", title_fontsize="x-small")
    return png(figure)


class LossesSection(Section):
    """Training curves and held-out losses of all runs."""

    title = "Loss curves"
    order = 150
    introduction = (
        "The training loss of each model. Families have different losses in different units, so "
        "compare the shapes of the curves and not their heights. A dashed line shows the loss on "
        "some held-out images during the training, a diamond the loss on all of them at its "
        "end; both have the colour of the seed. A dashed line that rises while the other one falls "
        "means that the model overfits."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        histories, held_out = [], []
        for run in study.runs:
            name, seed = run.model_name, run.folder.name.removeprefix("seed")
            panel = f"{name} ({run.dataset})" if len(study.settings.datasets) > 1 else name
            batch_size = study.settings.models[name].training.batch_size
            history = pd.DataFrame(read_history(run.history))
            images = history["step"] * batch_size
            histories.append(history.assign(model=panel, seed=seed, images=images))
            held_out.append(_held_out(histories[-1], read_run_file(run, run.summary)))
        history, tested = pd.concat(histories), pd.concat(held_out)
        names = list(dict.fromkeys(history["model"]))
        parts = [names[i : i + PANELS] for i in range(0, len(names), PANELS)]
        return {
            "curves": [
                data_uri(
                    loss_curves(*(table[table["model"].isin(part)] for table in (history, tested)))
                )
                for part in parts
            ]
        }


def _held_out(history: pd.DataFrame, summary: dict[str, Any]) -> pd.DataFrame:
    """The losses on held-out images: on some of them on the way, on all of them at the end."""
    end = history.iloc[[-1]].assign(held_out_loss=summary["held_out"]["loss"], all=True)
    measured = [history.dropna(subset="held_out_loss")] if "held_out_loss" in history else []
    some = [table.assign(all=False) for table in measured]
    points = pd.concat([*some, end])[["model", "seed", "images", "held_out_loss", "all"]]
    return points.rename(columns={"held_out_loss": "loss"})
