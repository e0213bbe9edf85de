"""The classifier of the accuracy score against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from genlab.evaluation.accuracy_score import (
    accuracy,
    components,
    small,
)
from genlab.evaluation.intervals import share_interval
from genlab.evaluation.regression import DECAY, fit_regression


def test_the_regression_is_that_of_scikit_learn() -> None:
    """Its C is 1 / (N DECAY), and its biases don't decay either."""
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((300, 5)), random.integers(0, 4, 300)
    x[np.arange(300), labels] += 1
    ours = fit_regression(x, labels, 4)
    peer = LogisticRegression(C=1 / (300 * DECAY), tol=1e-8, max_iter=1000).fit(x, labels)
    assert np.allclose(ours.weights[:-1], peer.coef_.T, atol=1e-3)
    biases = ours.weights[-1] - ours.weights[-1].mean()
    assert np.allclose(biases, peer.intercept_ - peer.intercept_.mean(), atol=1e-3)
    assert np.array_equal(ours.predict(x), peer.predict(x))


def test_the_components_are_those_of_scikit_learn_up_to_sign_and_scale() -> None:
    images = np.random.default_rng(0).integers(0, 256, (200, 3, 12, 12)).astype(np.uint8)
    space = components(images)
    own, peer = space(images), PCA(64, svd_solver="full").fit_transform(small(images))
    peer /= peer.std(axis=0, ddof=1).mean()
    assert own.var(axis=0, ddof=1).mean() == pytest.approx(1)
    ratios = np.abs(own[:, :5]).mean(axis=0) / np.abs(peer[:, :5]).mean(axis=0)
    assert np.ptp(ratios) < 1e-6


def test_small_images_are_means_over_blocks() -> None:
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[0, 0, :2, :2] = [[255, 0], [255, 0]]
    result = small(image)
    assert result.shape == (1, 14 * 14)
    assert result[0, 0] == pytest.approx(0.5)
    assert result[0, 1:].max() == 0
    assert small(np.zeros((2, 3, 37, 33), np.uint8)).shape == (2, 3 * 12 * 11)


def test_wrong_classes_lower_the_accuracy() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(400) % 4
    images = random.integers(0, 80, (400, 1, 8, 8)).astype(np.uint8)
    for k in range(4):
        images[labels == k, :, 2 * k : 2 * k + 2] += 60
    space, test = components(images), (images[200:], labels[200:])
    assert accuracy((images[:200], labels[:200]), test, space, 4) > 0.98
    assert accuracy((images[:200], (labels[:200] + 1) % 4), test, space, 4) < 0.02


@pytest.mark.parametrize(("right", "n"), [(0, 10), (9, 10), (870, 1000), (7, 7)])
def test_the_interval_is_wilson_s(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert share_interval(right / n, n) == pytest.approx((expected.low, expected.high), abs=1e-6)
