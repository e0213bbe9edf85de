"""The section on agreement: whether metrics and feature spaces order the rows alike."""

from __future__ import annotations

import functools
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from genlab.config.evaluators import CALIBRATION
from genlab.evaluation.metrics import metrics
from genlab.report.figures import data_uri, png
from genlab.report.league import NO_SAMPLER
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

FEWEST = 4
"""Rows from which on a rank correlation says anything."""
MOST_ANNOTATED = 24
"""Scores up to which every cell of the figure has its number."""


def quality_scores(league: pd.DataFrame) -> pd.DataFrame:
    """Return one column for each metric and feature space that ranks, one line for each row.

    Values are oriented so that higher is better, and averaged over seeds. Costs are left out, and
    so are metrics that some row has no number in. A model that draws no samples has no line.

    Args:
        league: the rows of one data set.
    """
    rows = league[(league["model"] != CALIBRATION) & (league["sampler"] != NO_SAMPLER)]
    keys = [rows[name] for name in ("model", "sampler", "extractor")]
    scores = {}
    for metric in metrics():
        if "samples" not in metric.needs or "model" in metric.needs:
            continue
        for column in metric.columns:
            if column.better == "none":
                continue
            numbers = pd.to_numeric(rows[column.name], errors="coerce")
            by_space = numbers.groupby(keys).mean().unstack("extractor")
            sign = -1 if column.better == "lower" else 1
            for space in by_space if metric.of_extractor else by_space.columns[:1]:
                label = f"{column.label}, {space}" if metric.of_extractor else column.label
                scores[label] = sign * by_space[space]
    table = pd.DataFrame(scores)
    return table.loc[:, table.notna().all() & (table.nunique() > 1)]


def agreement_figure(tau: pd.DataFrame) -> bytes:
    """Draw Kendall's tau between all pairs of scores as a heat map."""
    annotated = len(tau) <= MOST_ANNOTATED
    side = 1.8 + len(tau) * (0.34 if annotated else 0.15)  # inches; small cells fit the page
    figure, axis = plt.subplots(figsize=(side + 0.9, side - 0.4), layout="constrained")
    sns.heatmap(
        tau, vmin=-1, vmax=1, cmap="vlag", square=True, annot=annotated, fmt=".1f",
        annot_kws={"size": 6}, xticklabels=True, yticklabels=True,
        cbar_kws={"label": "Kendall's tau", "shrink": 0.6, "aspect": 30}, ax=axis,
    )  # fmt: skip
    axis.tick_params(labelsize=7)
    axis.set(xlabel="", ylabel="")
    return png(figure)


class AgreementSection(Section):
    """Kendall's tau between metrics and feature spaces."""

    title = "Do metrics and feature spaces agree?"
    order = 26
    introduction = (
        "Kendall's tau between the orders in which two scores put the models' rows: 1 is the same "
        "order, 0 is chance, −1 the reverse. Scores are turned so that higher is better. Where two "
        "scores disagree, they measure different things, so a ranking needs both."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(_tables(study))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        return {
            "figures": {
                dataset: data_uri(agreement_figure(table.corr(method="kendall")))
                for dataset, table in _tables(study).items()
            }
        }


@functools.lru_cache(maxsize=1)  # `applies` and `read` share it
def _tables(study: ReportedStudy) -> dict[str, pd.DataFrame]:
    """The scores of the rows of each data set that has enough of both."""
    tables = {
        dataset: quality_scores(study.league[study.league["dataset"] == dataset])
        for dataset in study.settings.datasets
    }
    return {
        dataset: table
        for dataset, table in tables.items()
        if len(table) >= FEWEST and table.shape[1] > 1
    }
