"""Parts of training images in samples that copy none of them as a whole.

A model of codes or pixels in a row that has overfitted follows one training image for a while, and
then another one. Its samples are new, and rougher than real images, so they are far from every
training image. The test compares training with held-out images instead: does the part of a real
image that is nearest to a part of a sample, at the same place, belong to a training image more
often than chance? Blur and noise move a sample away from both and change little.

The windows were chosen on seven draws of 1,000 samples of an overfitted prior over the codes of a
VQ-VAE. Windows of 12 x 12 pixels at a distance of 4 detect the overfitting best: z is 3.0 to 4.7.
Windows of 10 x 10 at a distance of 6 give 2.1 to 3.5. For the diffusion models of another study,
which the windows were not chosen on, z came nearer to 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genlab.data.randomness import generator
from genlab.evaluation.memorisation.neighbours import BLOCK, Double, Float, Images, Index, coarse
from genlab.evaluation.neighbours import blocks

SIDE = 32
"""Longest side of the images, which are reduced to it."""
WINDOW, STEP = 12, 4
"""Side of a window, and the distance between windows."""
LEAST_SPREAD = 0.1
"""Standard deviation of the pixels of a window below which it shows nothing."""
MOST = 10_000
"""Training images, and held-out images, that are searched."""


class NearestParts(NamedTuple):
    """The real images whose windows are nearest to those of N samples, in W places."""

    squares: Double
    """Squared distances [N, W]; infinite for windows that show nothing."""
    indices: Index
    """[N, W]"""


def nearest_parts(samples: Images, real: Images) -> NearestParts:
    """Find for each window of the samples the real image with the nearest window at its place."""
    squares, indices = [], []
    for x, y in zip(windows(samples), windows(real), strict=True):
        norms = np.square(y).sum(axis=1)
        near = np.concatenate([
            (norms - 2 * x[block] @ y.T).argmin(axis=1) for block in blocks(len(x), BLOCK)
        ])  # fmt: skip
        distances = np.square(x - y[near], dtype=np.float64).sum(axis=1)
        squares.append(np.where(x.std(axis=1) > LEAST_SPREAD, distances, np.inf))
        indices.append(near)
    return NearestParts(np.stack(squares, axis=1), np.stack(indices, axis=1))


def windows(images: Images) -> list[Float]:
    """The windows of images [N, C, H, W], pixels on [0, 1]: one array [N, F] for each place."""
    pixels = coarse(images, SIDE)
    h, w = pixels.shape[2:]
    return [
        pixels[:, :, i : i + WINDOW, j : j + WINDOW].reshape(len(images), -1)
        for i in range(0, max(h - WINDOW, 0) + 1, STEP)
        for j in range(0, max(w - WINDOW, 0) + 1, STEP)
    ]


def copied_parts(samples: Images, training: Images, held_out: Images) -> float:
    """p-value of `parts_test`; of more than MOST real images as many random ones are searched."""
    training, held_out = _some(training), _some(held_out)
    in_training, in_held_out = nearest_parts(samples, training), nearest_parts(samples, held_out)
    return parts_test(in_training, in_held_out, len(training), len(held_out))


def _some(images: Images) -> Images:
    """At most MOST of the images, chosen at random, the same ones every time."""
    if len(images) <= MOST:
        return images
    chosen = generator("memorisation", "parts").permutation(len(images))[:MOST]
    return images[np.sort(chosen)]


def parts_test(training: NearestParts, held_out: NearestParts, n: int, m: int) -> float:
    """p-value of a one-sided permutation test: are the nearest parts those of training images?

    Let c_j be the number of windows of samples that are nearest to image j of the n training and m
    held-out images, and S the sum of c_j over training images. If samples don't depend on which of
    the N = n + m real images were trained on, these labels are exchangeable, and

        E S = n c,  Var S = n m / (N (N - 1)) sum_j (c_j - c)^2,  c = sum_j c_j / N,

    over all permutations of the labels (Hoeffding 1951). The p-value is normal. A tie counts for
    the held-out image.
    """
    from scipy.special import ndtr

    visible = np.isfinite(training.squares)
    nearer = visible & (training.squares < held_out.squares)
    counts = np.concatenate([
        np.bincount(training.indices[nearer], minlength=n),
        np.bincount(held_out.indices[visible & ~nearer], minlength=m),
    ])  # fmt: skip
    deviations = counts - counts.mean()
    variance = n * m / ((n + m) * (n + m - 1)) * np.square(deviations).sum()
    if variance == 0:
        return 1.0
    return float(ndtr(-deviations[:n].sum() / np.sqrt(variance)))
