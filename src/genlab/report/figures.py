"""The report's figures, drawn by seaborn and handed over as PNG bytes."""

from __future__ import annotations

import io

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def loss_curves(history: pd.DataFrame, held_out: pd.DataFrame) -> bytes:
    """Training loss against images seen, a panel for each model, a line for each seed.

    The loss on the held-out images is a dashed line in the colour of its seed.

    Args:
        history: columns model, seed, images, loss.
        held_out: columns model, seed, loss: the mean over the held-out images after training.
    """
    models = list(dict.fromkeys(history["model"]))
    columns = min(len(models), 3)  # more would leave nothing to read
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
        sns.lineplot(part, x="images", y="loss", hue="seed", palette=colours, lw=1, ax=axis)
        for seed, loss in zip(after["seed"], after["loss"], strict=True):
            axis.axhline(loss, color=colours[seed], ls="--", lw=1)
        axis.plot([], [], color="0.3", ls="--", lw=1, label="held out, at the end")
        # The first steps would squeeze the rest of the curve into a line.
        late = part[part["images"] > 0.05 * part["images"].max()]["loss"]
        low = min(late.min(), after["loss"].min())
        high = max(late.quantile(0.995), after["loss"].max())
        axis.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        axis.set(title=model, xlabel="images seen", ylabel="training loss")
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))  # 10k: 10000 would touch 20000
        axis.legend(fontsize="x-small", title="seed", title_fontsize="x-small")
    return png(figure)


def rate_distortion(points: pd.DataFrame) -> bytes:
    """What the latent says (rate) against what the reconstruction loses (distortion), in nats.

    On a line distortion + rate = const every model has the same ELBO. The curve joins the models
    that no other one beats in both.

    Args:
        points: columns model, group, rate, distortion; a panel for each group, since distortions
            of different likelihoods or data sets don't compare.
    """
    groups = list(dict.fromkeys(points["group"]))
    figure, axes = plt.subplots(
        1, len(groups), figsize=(4.6 * len(groups), 3.6), squeeze=False, layout="constrained"
    )
    for axis, group in zip(axes[0], groups, strict=True):
        part = points[points["group"] == group].sort_values("rate")
        front = part[part["distortion"] <= part["distortion"].cummin()]
        axis.plot(front["rate"], front["distortion"], color="0.6", lw=1, zorder=1)
        sns.scatterplot(part, x="rate", y="distortion", hue="model", s=60, ax=axis)
        best = (part["rate"] + part["distortion"]).min()
        ends = pd.Series([part["rate"].min(), part["rate"].max()])
        axis.plot(ends, best - ends, color="0.3", ls=":", lw=1, label="the best ELBO here")
        axis.set(title=group, xlabel="rate: KL, nats", ylabel="distortion, nats")
        axis.legend(fontsize="x-small")
    return png(figure)


def cost_bars(costs: pd.DataFrame) -> bytes:
    """Wall-clock seconds of every job, summed by stage, and split by what it was for.

    Args:
        costs: columns stage, subject, seconds.
    """
    table = costs.pivot_table(
        index="stage", columns="subject", values="seconds", aggfunc="sum", sort=False
    )
    figure, axis = plt.subplots(figsize=(9.2, 0.4 * len(table) + 1.2), layout="constrained")
    subjects = len(table.columns)
    colours = sns.color_palette("colorblind" if subjects <= 10 else "husl", subjects)
    table.iloc[::-1].plot.barh(stacked=True, ax=axis, width=0.75, color=colours)
    axis.set(xlabel="seconds of wall-clock time, summed over jobs", ylabel="")
    axis.legend(fontsize="x-small", title=None, loc="upper left", bbox_to_anchor=(1.01, 1))
    return png(figure)
