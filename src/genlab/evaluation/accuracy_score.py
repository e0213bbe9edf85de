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
from genlab.evaluation.regression import fit_regression

Floats = NDArray[np.float64]
Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
SIDE = 16  # images are averaged to at most this many pixels a side
COMPONENTS = 64
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


def accuracy(
    train: tuple[Images, Labels], test: tuple[Images, Labels], space: Components, classes: int
) -> float:
    """Share of the test images that a regression on the training images classifies correctly."""
    regression = fit_regression(space(train[0]), train[1], classes)
    return float((regression.predict(space(test[0])) == test[1]).mean())
