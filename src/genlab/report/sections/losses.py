"""The section on losses: training curves and the loss on held-out images."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.ticker import EngFormatter

from genlab.io.history import read_history
from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file


def loss_curves(history: pd.DataFrame, held_out: pd.DataFrame) -> bytes:
    """Draw training loss against images seen, a panel for each model, a line for each seed.

    The loss on the held-out images is a dashed line in the colour of its seed.

    Args:
        history: columns model, seed, images, loss.
        held_out: columns model, seed, loss: the mean over the held-out images after training.
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
        part, after = (table[table["model"] == model] for table in (history, held_out))
        seeds = list(dict.fromkeys(part["seed"]))
        colours = dict(zip(seeds, sns.color_palette("colorblind", len(seeds)), strict=True))
        for seed, curve in part.groupby("seed", sort=False):
            axis.plot(curve["images"], curve["loss"], color=colours[seed], lw=1, label=seed)
        for seed, loss in zip(after["seed"], after["loss"], strict=True):
            axis.axhline(loss, color=colours[seed], ls="--", lw=1)
        axis.plot([], [], color="0.3", ls="--", lw=1, label="held-out, after training")
        # The high losses of the first steps would compress the rest of the curve.
        late = part[part["images"] > 0.05 * part["images"].max()]["loss"]
        low = min(late.min(), after["loss"].min())
        high = max(late.quantile(0.995), after["loss"].max())
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
        "compare the shapes of the curves and not their heights. Dashed lines show the loss on the "
        "held-out images after training, in the colour of the seed."
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
            loss = read_run_file(run, run.summary)["held_out"]["loss"]
            held_out.append({"model": panel, "seed": seed, "loss": loss})
        return {"curves": data_uri(loss_curves(pd.concat(histories), pd.DataFrame(held_out)))}
