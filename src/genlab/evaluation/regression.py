"""Multinomial logistic regression: a classifier whose loss is convex, so that it has one answer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
DECAY = 0.01  # weight of the squared weights in the loss
ITERATIONS = 200  # at most


class Regression(NamedTuple):
    """A multinomial logistic regression."""

    weights: Floats
    """[K + 1, classes], the last row being the biases."""

    def predict(self, x: Floats) -> Labels:
        """The most probable class of inputs [N, K]: [N]."""
        logits = x @ self.weights[:-1] + self.weights[-1]
        return np.asarray(logits.argmax(axis=1))


def fit_regression(x: Floats, labels: Labels, classes: int) -> Regression:
    """Minimise the mean of -log p(label) plus DECAY/2 |weights|^2 by L-BFGS; biases don't decay.

    Args:
        x: inputs, [N, K].
        labels: their classes, [N].
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    inputs = np.column_stack([x, np.ones(len(x))])  # [N, K + 1]
    target = np.eye(classes)[labels]  # [N, classes]
    decay = np.full((inputs.shape[1], 1), DECAY)
    decay[-1] = 0

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, classes)
        logs = log_softmax(inputs @ weights, axis=1)
        gradient = inputs.T @ (np.exp(logs) - target) / len(x) + decay * weights
        penalty = (decay * np.square(weights)).sum() / 2
        return float(penalty - (logs * target).sum() / len(x)), gradient.ravel()

    start = np.zeros(inputs.shape[1] * classes)
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    return Regression(best.x.reshape(-1, classes))
