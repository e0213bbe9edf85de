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
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

FEWEST = 4
"""Rows from which on a rank correlation says anything."""


def quality_scores(league: pd.DataFrame) -> pd.DataFrame:
    """Return one column for each metric and feature space that ranks, one line for each row.

    Values are oriented so that higher is better, and averaged over seeds. Costs are left out, and
    so are metrics that some row has no number in.

    Args:
        league: the rows of one data set.
    """
    models = league[league["model"] != CALIBRATION]
    scores = {}
    for metric in metrics():
        if "samples" not in metric.needs or "model" in metric.needs:
            continue
        for column in metric.columns:
            if column.better == "none":
                continue
            numbers = models.assign(value=pd.to_numeric(models[column.name], errors="coerce"))
            by_space = numbers.pivot_table(
                index=["model", "sampler"], columns="extractor", values="value", dropna=False
            )
            sign = -1 if column.better == "lower" else 1
            for space in by_space if metric.of_extractor else by_space.columns[:1]:
                label = f"{column.label}, {space}" if metric.of_extractor else column.label
                scores[label] = sign * by_space[space]
    table = pd.DataFrame(scores)
    return table.loc[:, table.notna().all() & (table.nunique() > 1)]


def agreement_figure(tau: pd.DataFrame) -> bytes:
    """Draw Kendall's tau between all pairs of scores as a heat map."""
    side = 1.8 + 0.34 * len(tau)
    figure, axis = plt.subplots(figsize=(side + 1.5, side), layout="constrained")
    sns.heatmap(
        tau, vmin=-1, vmax=1, cmap="vlag", square=True, annot=len(tau) <= 24, fmt=".1f",
        annot_kws={"size": 6}, cbar_kws={"label": "Kendall's tau", "shrink": 0.6}, ax=axis,
    )  # fmt: skip
    axis.tick_params(labelsize=7)
    axis.set(xlabel="", ylabel="")
    return png(figure)


class AgreementSection(Section):
    """Kendall's tau between metrics and feature spaces."""

    title = "Do the rulers agree?"
    order = 26
    introduction = (
        "Kendall's tau between the orders in which two scores put the models' rows: 1 is the same "
        "order, 0 is chance, −1 the reverse. Scores are turned so that higher is better. Where two "
        "rulers disagree, they measure different things, and a single one of them ranks nothing."
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
