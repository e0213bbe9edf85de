"""Metrics of each class, for samples that were requested by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.metrics import Comparison, FeatureMetric, Features, Values, feature_metrics

FEWEST = 10  # images of a class from which on its KID is informative: it is unbiased but noisy


def class_metrics() -> list[FeatureMetric]:
    """The metrics that are computed for each class, in the order of the class-by-class table."""
    ranked = [(m.class_rank, m) for m in feature_metrics() if m.class_rank is not None]
    return [metric for _, metric in sorted(ranked, key=lambda pair: pair[0])]


def measure_classes(
    comparison: Comparison,
    requested: NDArray[np.int64],
    labels: NDArray[np.int64],
    names: Sequence[str],
) -> dict[str, Values]:
    """Compare the samples of each class with the training images of this class.

    A class with fewer than FEWEST images is left out. A metric that needs more images than a class
    has, as FID does, is None.

    Args:
        requested: the class that each sample was requested to be of, [N].
        labels: the class of each training image, [M].
        names: of the classes 0, 1 ...
    """
    results: dict[str, Values] = {}
    for k, name in enumerate(names):
        generated = _part(comparison.generated, requested == k)
        training = _part(comparison.training, labels == k)
        if min(len(part["features"]) for part in (generated, training)) >= FEWEST:
            of_class = Comparison(generated, training, comparison.config)
            values: Values = {}
            for metric in feature_metrics():
                if metric.class_rank is not None:
                    first = metric.columns[0].name
                    values[first] = metric.compute(of_class)[first]
            results[name] = values
    return results


def _part(features: Features, chosen: NDArray[np.bool_]) -> Features:
    """The features and logits of the `chosen` images [N]."""
    return {name: array[chosen] for name, array in features.items()}
