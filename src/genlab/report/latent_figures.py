"""What each latent knows of each factor, as heat maps."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from numpy.typing import NDArray

from genlab.report.figures import png

SHOWN = 16  # latents, the most informative of them


def in_order(information: NDArray[np.float64]) -> NDArray[np.int64]:
    """The latents to show, of information [K, L].

    They are sorted by the factor that they know most of, so that a disentangled code shows a
    diagonal; those that know nothing come last.
    """
    know = information.max(axis=0)  # [L]
    best = np.where(know > 0, information.argmax(axis=0), len(information))
    shown = np.argsort(-know, kind="stable")[:SHOWN]
    return shown[np.lexsort((-know[shown], best[shown]))]


def importance_matrix(found: dict[str, Any]) -> bytes:
    """Factors against latents: the share of information (MIG) and the importance (DCI).

    Args:
        found: the content of a run's disentanglement.json.
    """
    information, importance = np.array(found["information"]), np.array(found["importance"])
    shown = in_order(information)
    figure, axes = plt.subplots(
        1, 2, figsize=(2 * (0.42 * len(shown) + 1.6), 2.8), sharey=True, layout="constrained"
    )
    panels = {
        f"I(z; v) / H(v): MIG {found['mig']:.3f}": information,
        f"importance: disentanglement {found['dci_disentanglement']:.3f}, "
        f"completeness {found['dci_completeness']:.3f}": importance,
    }
    for axis, (title, matrix) in zip(axes, panels.items(), strict=True):
        sns.heatmap(
            matrix[:, shown],
            vmin=0,
            vmax=1,
            cmap="viridis",
            annot=True,
            fmt=".2f",
            annot_kws={"fontsize": 7},
            linewidths=0.5,
            cbar=axis is axes[-1],
            xticklabels=[str(j) for j in shown],
            yticklabels=found["factors"],
            ax=axis,
        )
        axis.set_title(title, fontsize="small")
        axis.set_xlabel("latent")
        axis.tick_params(axis="y", rotation=0)
    return png(figure)
