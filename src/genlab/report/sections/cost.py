"""The section on cost: seconds and memory of every job."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy
from genlab.results.layout import StudyFolder


def read_costs(study: StudyFolder) -> pd.DataFrame:
    """Read Snakemake's benchmarks: columns stage, subject, detail, where, seconds, megabytes."""
    rows = []
    root = study.folder / "benchmarks"
    for path in sorted(root.rglob("*.tsv")):
        benchmark = pd.read_csv(path, sep="\t", na_values="-").iloc[-1]
        folders = path.parent.relative_to(root).parts
        stage, _, detail = path.stem.partition("_")
        rows.append(
            {
                "stage": stage,
                "subject": folders[1] if len(folders) > 1 else "study",
                "detail": detail,
                "where": "/".join(folders),
                "seconds": float(benchmark["s"]),
                "megabytes": float(benchmark["max_rss"]),
            }
        )
    return pd.DataFrame(rows)


def cost_bars(costs: pd.DataFrame) -> bytes:
    """Draw wall-clock seconds of all jobs, summed by stage and split by subject.

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
    axis.set(xlabel="wall-clock seconds, summed over jobs", ylabel="")
    axis.legend(fontsize="x-small", title=None, loc="upper left", bbox_to_anchor=(1.01, 1))
    return png(figure)


class CostSection(Section):
    """Time and memory of all jobs."""

    title = "Cost"
    order = 160

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        costs = read_costs(study.folder)
        return {
            "jobs": costs.to_dict("records"),
            "seconds": costs["seconds"].sum(),
            "figure": data_uri(cost_bars(costs)),
        }
