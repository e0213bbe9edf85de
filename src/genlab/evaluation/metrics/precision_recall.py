"""Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991, section 3)."""

from __future__ import annotations

import numpy as np

from genlab.config.study import EvaluationConfig
from genlab.data.randomness import generator
from genlab.evaluation.metrics import Array, Column, Comparison, FeatureMetric, Values

MOST_REAL = 10_000
"""Real images that are used, where not more are generated: the cost grows with their square."""
BLOCK = 1000  # images whose distances to all others are in memory at once


def precision_recall(generated: Array, real: Array, neighbours: int) -> tuple[float, float]:
    """Precision and recall of features [N, F] against those of real images [M, F].

    Where M exceeds both MOST_REAL and N, the larger of these many are chosen at random, the same
    ones every time.
    """
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    most = max(MOST_REAL, len(generated))
    if len(real) > most:
        chosen = generator("precision and recall").choice(len(real), most, replace=False)
        real = real[np.sort(chosen)]
    result = prc_features_to_metric(
        torch.from_numpy(generated).double(), torch.from_numpy(real).double(),
        prc_neighborhood=neighbours, prc_batch_size=BLOCK, save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    return result["precision"], result["recall"]


class PrecisionRecall(FeatureMetric):
    """Shares of images that lie on the manifold of the other set."""

    columns = (
        Column("precision", "precision", better="higher"),
        Column("recall", "recall", better="higher"),
    )
    order = 40
    needs = ("samples", "features")
    explanation = (
        "Precision is the share of samples whose features lie near those of a training image, "
        "recall the share of training images whose features lie near those of a sample. Near means "
        "within the distance of that image to its nearest neighbour number {neighbours} in its own "
        "set. "
        f"Larger training sets are represented by {MOST_REAL:,} random images, or by as many as "
        "there are samples if these are more."
    )

    def compute(self, comparison: Comparison) -> Values:
        precision, recall = precision_recall(*comparison.features, comparison.config.neighbours)
        return {"precision": precision, "recall": recall}

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        return {f"{config.neighbours} neighbours": config.neighbours + 1}
