"""The section on disentanglement: which latent dimension encodes which factor."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from numpy.typing import NDArray

from genlab.report.figures import data_uri, png
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file, run_label
from genlab.results.layout import RunFolder

LATENTS = 16
"""Latent dimensions in a heat map: the most informative ones."""


def latent_order(information: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the latents to show, of information [K factors, L latents].

    They are sorted by the factor about which they have most information, so that a disentangled
    code shows a diagonal. Latents without any information come last.
    """
    largest = information.max(axis=0)  # [L]
    factor = np.where(largest > 0, information.argmax(axis=0), len(information))
    latents = np.argsort(-largest, kind="stable")[:LATENTS]
    return latents[np.lexsort((-largest[latents], factor[latents]))]


def importance_matrix(content: dict[str, Any]) -> bytes:
    """Draw factors against latents: normalised mutual information (MIG) and importance (DCI).

    Args:
        content: a run's disentanglement.json.
    """
    information, importance = np.array(content["information"]), np.array(content["importance"])
    latents = latent_order(information)
    figure, axes = plt.subplots(
        1, 2, figsize=(2 * (0.42 * len(latents) + 1.6), 2.8), sharey=True, layout="constrained"
    )
    panels = {
        f"I(z; v) / H(v)\nMIG {content['mig']:.3f}": information,
        f"importance\ndisentanglement {content['dci_disentanglement']:.3f}\n"
        f"completeness {content['dci_completeness']:.3f}": importance,
    }
    for axis, (title, matrix) in zip(axes, panels.items(), strict=True):
        sns.heatmap(
            matrix[:, latents],
            vmin=0,
            vmax=1,
            cmap="viridis",
            annot=True,
            fmt=".2f",
            annot_kws={"fontsize": 7},
            linewidths=0.5,
            cbar=axis is axes[-1],
            xticklabels=[str(j) for j in latents],
            yticklabels=content["factors"],
            ax=axis,
        )
        axis.set_title(title, fontsize="small")
        axis.set_xlabel("latent dimension")
        axis.tick_params(axis="y", rotation=0)
    return png(figure)


def _runs(study: ReportedStudy) -> list[RunFolder]:
    runs = study.runs_where(lambda family: family.posterior)
    return [run for run in runs if study.manifests[run.dataset].get("factors")]


class DisentanglementSection(Section):
    """MIG and DCI of VAEs on data with known factors."""

    title = "Disentanglement"
    order = 120
    introduction = (
        "Measured on data whose factors are known. MIG is the difference in mutual information "
        "between the two latent dimensions that are most informative about a factor, divided by "
        "the entropy of the factor (Chen et al. 2018). DCI uses the importances of a random forest "
        "that predicts the factors from the latents: disentanglement is high if each latent "
        "dimension serves one factor, completeness if each factor needs one latent dimension, and "
        "informativeness if the factors can be predicted. The best value of each is 1."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(_runs(study))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        contents = {run_label(run): read_run_file(run, run.disentanglement) for run in _runs(study)}
        return {
            "runs": [
                {"title": title, "picture": data_uri(importance_matrix(content)), **content}
                for title, content in contents.items()
            ]
        }
