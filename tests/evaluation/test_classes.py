"""Metrics by class: the same as those of the class alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genlab.config.study import EvaluationConfig
from genlab.evaluation.classes import FEWEST, measure_classes
from genlab.evaluation.metrics import Comparison, Values, measure

DIMENSIONS = 6
CONFIG = EvaluationConfig(samples=40, splits=2)


def features(x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return {"features": x, "logits": np.zeros((len(x), 2), np.float32)}


def test_a_class_is_measured_against_its_own_training_images() -> None:
    """As `measure` does it with the images of the class alone, and far from another class."""
    random = np.random.default_rng(0)
    labels, requested = np.arange(200) % 2, np.arange(100) % 2
    real, samples = (random.standard_normal((n, DIMENSIONS)).astype(np.float32) for n in (200, 100))
    real[labels == 1] += 5
    samples[requested == 1] += 5

    def by_class(requested: NDArray[np.int64]) -> dict[str, Values]:
        names = ["near", "far"]
        comparison = Comparison(features(samples), features(real), CONFIG)
        return measure_classes(comparison, requested, labels, names)

    result = by_class(requested)
    for k, name in enumerate(("near", "far")):
        alone = measure(
            Comparison(features(samples[requested == k]), features(real[labels == k]), CONFIG)
        )
        assert result[name] == {"fid": alone["fid"], "kid": alone["kid"]}
    swapped = by_class(1 - requested)
    # Means 5 apart in each of 6 dimensions.
    assert swapped["near"]["fid"] == pytest.approx(6 * 25, rel=0.2)


def test_few_images_have_a_kid_and_no_fid_and_fewer_have_neither() -> None:
    random = np.random.default_rng(0)
    dimensions = FEWEST + 1
    x = random.standard_normal((90, dimensions)).astype(np.float32)
    requested = np.array([0] * FEWEST + [1] * dimensions + [2] * (FEWEST - 1))
    sample, labels = features(x[: len(requested)]), np.arange(90) % 3
    comparison = Comparison(sample, features(x), CONFIG)
    result = measure_classes(comparison, requested, labels, ["a", "b", "c"])
    assert list(result) == ["a", "b"]
    assert result["a"]["fid"] is None
    assert result["b"]["fid"] is not None
    # A cubic kernel of features around 0 is about (0 + 1)^3, and KID a difference of its means.
    assert result["a"]["kid"] is not None
    assert abs(result["a"]["kid"]) < 10
