"""The section on the ELBO study: bounds of log p(x), on probabilistic PCA and on each VAE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file, run_label
from genlab.results.origin import data_origin, read_measured

PARTS = {
    "mutual_information": "mutual information of x and z",
    "total_correlation": "total correlation",
    "dimension_wise_kl": "dimension-wise KL",
}
GAPS = {
    "approximation_gap": "approximation gap: q is a factorised Gaussian",
    "amortisation_gap": "amortisation gap: one encoder for all images",
}


def images_of(parts: Iterable[dict[str, Any]]) -> str:
    """Return how many images the means in `parts` are over: '16 images', or '16 to 20 images'."""
    counts = {part["images"] for part in parts}
    return " to ".join(f"{n:,}" for n in sorted({min(counts), max(counts)})) + " images"


def _curve(axis: Axes, curve: list[dict[str, float]], **style: Any) -> None:
    """Draw IWAE-K against K, with a band of two standard errors."""
    table = pd.DataFrame(curve)
    (line,) = axis.plot(table["k"], table["value"], marker="o", ms=3.5, lw=1.4, **style)
    low, high = (table["value"] + sign * 2 * table["error"] for sign in (-1, 1))
    axis.fill_between(table["k"], low, high, color=line.get_color(), alpha=0.2, lw=0)


def ppca_bounds(content: dict[str, Any]) -> bytes:
    """Draw ELBO, IWAE-K and log p(x) of probabilistic PCA, and the remaining gap.

    Args:
        content: `elbo-study/ppca.json`.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.9), layout="constrained")
    left.axhline(content["log_p"], color="0.2", ls="--", lw=1.2, label="exact log p(x)")
    colours = sns.color_palette("colorblind")
    for posterior, colour in zip(content["posteriors"], colours, strict=False):
        label = f"{posterior['posterior']}, KL {posterior['kl']:.2f}"
        _curve(left, posterior["bounds"], label=label, color=colour)
        table = pd.DataFrame(posterior["bounds"])
        if posterior["kl"] > 0:  # the exact posterior has no gap, and log(0) is no point
            gap = content["log_p"] - table["value"]
            shown = gap > 2 * table["error"]  # smaller gaps are noise
            right.plot(table["k"][shown], gap[shown], marker="o", ms=3.5, lw=1.4, color=colour)
            right.axhline(posterior["kl"], color=colour, ls=":", lw=1)
    left.set(xscale="log", xlabel="K", ylabel=f"nats, mean over {images_of([content])}",
             title="IWAE-K (K = 1: ELBO)")  # fmt: skip
    left.legend(fontsize="x-small", loc="lower right")
    right.set(xscale="log", yscale="log", xlabel="K", ylabel="nats",
              title="log p(x) - IWAE-K (dotted: KL(q || p(z|x)))")  # fmt: skip
    return png(figure)


def gradient_spread(content: dict[str, Any]) -> bytes:
    """Draw the variance of gradient estimators against the number of latents, a panel for each q.

    Args:
        content: `elbo-study/gradients.json`.
    """
    table = pd.DataFrame(content["rows"])
    places = list(dict.fromkeys(table["place"]))
    figure, axes = plt.subplots(
        1, len(places), figsize=(5.2 * len(places), 3.6), layout="constrained", squeeze=False
    )
    for axis, place in zip(axes[0], places, strict=True):
        part = table[table["place"] == place]
        for name, rows in part.groupby("estimator", sort=False):
            axis.errorbar(rows["latent"], rows["variance"], yerr=2 * rows["variance_error"],
                          marker="o", ms=4, lw=1.4, label=str(name))  # fmt: skip
        axis.set(xscale="log", yscale="log", title=place, xlabel="latent dimensions",
                 ylabel=f"gradient variance, {content['samples']} samples")  # fmt: skip
        ticks = sorted(part["latent"].unique())
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
    axes[0][0].legend(fontsize="x-small")
    return png(figure)


def _stacked(axis: Axes, rows: dict[str, dict[str, Any]], parts: dict[str, str]) -> None:
    """Draw a bar for each run, stacked from `parts`, with error bars of two standard errors."""
    table, errors = (
        pd.DataFrame(
            {parts[part]: {run: row[part][number] for run, row in rows.items()} for part in parts}
        )
        for number in ("value", "error")
    )
    palette = sns.color_palette("colorblind", len(parts))
    left = pd.Series(0.0, index=table.index)
    for colour, label in zip(palette, table, strict=True):
        axis.barh(table.index, table[label], left=left, xerr=2 * errors[label], color=colour,
                  height=0.6, label=label, error_kw={"lw": 1, "ecolor": "0.25"})  # fmt: skip
        left += table[label]
    axis.set_xlabel("nats")


def elbo_parts(runs: dict[str, dict[str, Any]]) -> bytes:
    """Draw the parts of the KL term and of the gap log p(x) - ELBO, a bar for each run.

    Args:
        runs: the content of each run's `elbo.json`, by the run's label.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 0.45 * len(runs) + 1.9), layout="constrained", sharey=True
    )
    decomposed = {run: content["decomposition"] for run, content in runs.items()}
    annealed = {run: content["annealing"] for run, content in runs.items()}
    _stacked(left, decomposed, PARTS)
    most = max(part["log_images"] for part in decomposed.values())
    left.axvline(most, color="0.3", ls="--", lw=1)
    count = images_of(decomposed.values())
    title = f"KL(q(z|x) || p(z)), mean over {count}\n(dashed: log of their number)"
    left.set_title(title, fontsize="small")
    left.invert_yaxis()
    _stacked(right, annealed, GAPS)
    count = images_of(annealed.values())
    title = f"log p(x) - ELBO, mean over {count},\nby annealed importance sampling"
    right.set_title(title, fontsize="small")
    figure.legend(*left.get_legend_handles_labels(), fontsize="x-small", loc="outside lower left")
    figure.legend(*right.get_legend_handles_labels(), fontsize="x-small", loc="outside lower right")
    return png(figure)


def bound_curves(runs: dict[str, dict[str, Any]]) -> bytes:
    """Draw IWAE-K against K, and log p(x) by annealed importance sampling, a panel for each run.

    The band of log p(x) is two standard errors wide; upwards the gap of the two-sided check on
    simulated images is added, since annealing gives a lower bound.

    Args:
        runs: the content of each run's `elbo.json`, by the run's label.
    """
    columns = min(len(runs), 3)
    rows = -(-len(runs) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(4.4 * columns, 3.3 * rows), layout="constrained", squeeze=False
    )
    for axis, (run, content) in zip(axes.flat, runs.items(), strict=False):
        _curve(axis, content["bounds"]["curve"], label="IWAE-K (K = 1: ELBO)")
        log_p, slack = content["annealing"]["log_p"], content["simulated"]["gap"]
        axis.axhline(log_p["value"], color="0.2", ls="--", lw=1.2, label="log p(x) by annealing")
        low = log_p["value"] - 2 * log_p["error"]
        high = log_p["value"] + 2 * log_p["error"] + max(0.0, slack["value"])
        axis.axhspan(low, high, color="0.2", alpha=0.12, lw=0)
        count = images_of([content["bounds"]])
        axis.set(xscale="log", xlabel="K", ylabel=f"nats, mean over {count}")
        axis.set_title(f"{run}\n{content['likelihood']}", fontsize="small")
        axis.legend(fontsize="x-small", loc="lower right")
    for axis in axes.flat[len(runs) :]:
        axis.remove()
    return png(figure)


class ELBOStudySection(Section):
    """Bounds on probabilistic PCA, and the decomposition of each VAE's bound."""

    title = "ELBO study"
    order = 140

    def applies(self, study: ReportedStudy) -> bool:
        return study.settings.elbo_study is not None

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        runs = study.runs_where(lambda family: family.posterior)
        vaes = {run_label(run): read_run_file(run, run.elbo) for run in runs}
        return {
            "closed_forms": [self._closed_form(study, name) for name in study.settings.datasets],
            "vaes": vaes,
            "parts": data_uri(elbo_parts(vaes)) if vaes else None,
            "curves": data_uri(bound_curves(vaes)) if vaes else None,
        }

    def _closed_form(self, study: ReportedStudy, dataset: str) -> dict[str, Any]:
        """Return numbers and figures of probabilistic PCA on a data set."""
        at, origin = study.folder.elbo_study(dataset), data_origin(study.folder.data(dataset))
        ppca, gradients = (
            read_measured(at / f"{name}.json", origin) for name in ("ppca", "gradients")
        )
        return {
            "dataset": dataset,
            "ppca": ppca,
            "bounds": data_uri(ppca_bounds(ppca)),
            "gradients": data_uri(gradient_spread(gradients)),
        }
