"""Classifier accuracy score (Ravuri & Vinyals 2019, arXiv:1905.10887).

A classifier that is trained on generated images, with the classes they were requested to be of, is
tested on real held-out images. The paper trains a ResNet; here it is a multinomial logistic
regression on principal components of the pixels, which is convex: its accuracy depends on the
images alone, not on a training of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.array_cache import cached_per_array

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
SIDE = 16  # images are averaged to at most this many pixels a side
COMPONENTS = 64
DECAY = 0.01  # weight of the squared weights in the loss
ITERATIONS = 200  # at most
ON_REAL = 10_000  # real images that the components are fitted to, at most


def small(images: Images) -> Floats:
    """Average images [N, C, H, W] over blocks to at most SIDE pixels a side: [N, D], on [0, 1].

    Pixels at the right and at the bottom that fill no block are dropped.
    """
    n, channels, height, width = images.shape
    block = -(-max(height, width) // SIDE)
    rows, columns = height // block, width // block
    cut = images[:, :, : rows * block, : columns * block]
    blocks = cut.reshape(n, channels, rows, block, columns, block)
    return np.asarray(blocks.mean(axis=(3, 5)).reshape(n, -1) / 255)


class Components(NamedTuple):
    """The principal components of small images."""

    mean: Floats
    """[D]."""
    axes: Floats
    """The first COMPONENTS axes, [D, K], scaled so that the mean variance along them is 1."""

    def __call__(self, images: Images) -> Floats:
        """The components of images [N, C, H, W]: [N, K]."""
        return np.asarray((small(images) - self.mean) @ self.axes)


@cached_per_array
def components(images: Images) -> Components:
    """Fit the components to real images [N, C, H, W]."""
    step = -(-len(images) // ON_REAL)
    pixels = small(images[::step])
    variances, axes = np.linalg.eigh(np.atleast_2d(np.cov(pixels.T)))
    variances, axes = variances[::-1][:COMPONENTS], axes[:, ::-1][:, :COMPONENTS]
    scale = max(float(variances.mean()), np.finfo(float).tiny) ** 0.5
    return Components(pixels.mean(axis=0), axes / scale)


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


def accuracy(
    train: tuple[Images, Labels], test: tuple[Images, Labels], space: Components, classes: int
) -> float:
    """Share of the test images that a regression on the training images classifies correctly."""
    regression = fit_regression(space(train[0]), train[1], classes)
    return float((regression.predict(space(test[0])) == test[1]).mean())
