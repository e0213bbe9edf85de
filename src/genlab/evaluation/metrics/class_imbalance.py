"""Distance between the class frequencies of generated and of real images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics import Array, Column, Comparison, FeatureMetric, Values


def class_shares(logits: Array) -> NDArray[np.float64]:
    """The share of each class among the predictions by logits [N, K]: [K]."""
    counts = np.bincount(logits.argmax(axis=1), minlength=logits.shape[1])
    return np.asarray(counts / len(logits))


class ClassImbalance(FeatureMetric):
    """Total variation distance between the shares of the predicted classes."""

    columns = (Column("class_imbalance", "class imbalance", better="lower"),)
    order = 31
    needs = ("samples", "logits")
    explanation = (
        "Total variation distance between the classes that the extractor predicts for the samples "
        "and for the training images: the share of samples that would have to be of another class. "
        "It is 0.1 where one of ten equally frequent classes is missing. A perfect model with N "
        "samples and K equally frequent classes shows about 0.4 √(K/N)."
    )

    def compute(self, comparison: Comparison) -> Values:
        shares = class_shares(comparison.generated["logits"])
        difference = shares - class_shares(comparison.training["logits"])
        return {"class_imbalance": float(np.abs(difference).sum() / 2)}
