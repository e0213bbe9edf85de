"""Feature likelihood divergence (Jiralerspong et al. 2023, arXiv:2302.04440, section 3).

Every sample becomes the centre of an isotropic Gaussian in standardised features,

    p(x) = 1/m sum_j N(x; s_j, sigma_j^2 I),

whose widths maximise the likelihood of the training images, and held-out images are scored by it:

    FLD = 100 / F (-1/n sum_i log p(x_i) - C),

with C the same mean for Gaussians around one part of the training images, fitted to the others. A
sample that copies a training image gets a width near 0 and no likelihood from held-out images, so
FLD punishes copies as well as bad and missing samples; 0 is a perfect model.

More centres give more likelihood, so both mixtures have the same number m. The training images are
split in two, so m is at most half of their number; of more samples the first m are taken. The
authors' program takes all samples, which puts a perfect model below 0 there.
"""

from __future__ import annotations

import functools

import numpy as np

from genlab.data.randomness import generator
from genlab.evaluation.intervals import QUANTILE, IntervalEstimate
from genlab.evaluation.memorisation.neighbours import BLOCK, Double, Float, Identity, Index
from genlab.evaluation.neighbours import blocks

STEPS = 6
"""Steps of EM; more of them change the likelihood by about 1e-5 nats per dimension."""
NEAREST = 32
"""Centres that can be responsible for a training image: the others are too far to matter."""
LEAST_VARIANCE = 1e-6
"""Of standardised features. The best width of an exact copy is 0: how large FLD is where nearly all
samples are copies depends on this bound, and says no more than that."""
FEWEST = 10
"""Held-out images, and halves of the training images, that FLD needs."""


class HeldOutLikelihood:
    """The held-out images of a feature space, scored by Gaussians around samples.

    Args:
        training: features [M, F].
        held_out: features [n, F], whose mean and standard deviation standardise all features.
    """

    def __init__(self, training: Float, held_out: Float) -> None:
        spread = held_out.std(axis=0)
        self.scale = np.where(spread > 0, spread, 1).astype(np.float32)
        self.centre = held_out.mean(axis=0)
        self.training, self.held_out = self._standardised(training), self._standardised(held_out)
        self._baselines: dict[int, Double] = {}

    def _standardised(self, features: Float) -> Float:
        result: Float = ((features - self.centre) / self.scale).astype(np.float32)
        return result

    def fld(self, samples: Float) -> IntervalEstimate:
        """FLD of features [N, F], with a normal interval over the held-out images.

        The centres are the first m = min(N, M / 2) samples.
        """
        samples = self._standardised(samples[: len(self.training) // 2])
        variances = fit_variances(samples, self.training)
        gaps = -log_likelihood(self.held_out, samples, variances) - self._baseline(len(samples))
        gaps *= 100 / samples.shape[1]
        spread = QUANTILE * float(gaps.std(ddof=1)) / len(gaps) ** 0.5
        value = float(gaps.mean())
        return IntervalEstimate(value, value - spread, value + spread)

    def _baseline(self, count: int) -> Double:
        """-log p of each held-out image for `count` training images as centres."""
        if count not in self._baselines:
            order = generator("memorisation", "fld").permutation(len(self.training))
            centres, rest = self.training[order[:count]], self.training[order[count:]]
            variances = fit_variances(centres, rest)
            self._baselines[count] = -log_likelihood(self.held_out, centres, variances)
        return self._baselines[count]


def fit_variances(centres: Float, points: Float) -> Double:
    """Fit the variances [m] of Gaussians around `centres` [m, F] to `points` [M, F] by EM.

    With responsibilities r_ij of centre j for point i, a step is
    sigma_j^2 = sum_i r_ij |x_i - s_j|^2 / (F sum_i r_ij). As in the authors' program a background
    around the mean of the points takes those that no centre is near to: it has the weight 1 of all
    centres together, and counts in the fit alone. It starts from the nearest point of each centre.
    """
    dimensions = points.shape[1]
    near, distances, smallest = _nearest_centres(points, centres)
    variances: Double = np.maximum(smallest / dimensions, LEAST_VARIANCE)
    background = np.square(points - points.mean(axis=0)).sum(axis=1, dtype=np.float64)
    level = background.mean() / dimensions
    for _ in range(STEPS):
        terms = _log_density(distances, variances[near], dimensions) - np.log(len(centres))
        outside = _log_density(background, level, dimensions)
        total = np.logaddexp(_log_sum(terms), outside)
        r, r_outside = np.exp(terms - total[:, None]), np.exp(outside - total)
        mass = np.bincount(near.ravel(), r.ravel(), len(centres))
        moment = np.bincount(near.ravel(), (r * distances).ravel(), len(centres))
        fitted = moment / (dimensions * np.maximum(mass, np.finfo(np.float64).tiny))
        variances = np.where(mass > 0, np.maximum(fitted, LEAST_VARIANCE), variances)
        level = max(r_outside @ background / (dimensions * max(r_outside.sum(), 1e-12)),
                    LEAST_VARIANCE)  # fmt: skip
    return variances


def _nearest_centres(points: Float, centres: Float) -> tuple[Index, Double, Double]:
    """The NEAREST centres of each point, and how near any point is to each centre.

    Returns:
        indices [M, k] and squared distances [M, k]; the smallest squared distances [m].
    """
    k = min(NEAREST, len(centres))
    indices, distances = [], []
    smallest = np.full(len(centres), np.inf)
    for block in blocks(len(points), BLOCK):
        squares = _squares(points[block], centres)
        near = np.argpartition(squares, k - 1, axis=1)[:, :k]
        indices.append(near)
        distances.append(np.take_along_axis(squares, near, axis=1).astype(np.float64))
        smallest = np.minimum(smallest, squares.min(axis=0))
    return np.concatenate(indices), np.concatenate(distances), smallest


def log_likelihood(points: Float, centres: Float, variances: Double) -> Double:
    """log 1/m sum_j N(x; s_j, sigma_j^2 I) of each of `points` [n, F], in nats."""
    parts = []
    for block in blocks(len(points), BLOCK):
        squares = _squares(points[block], centres).astype(np.float64)
        total = _log_sum(_log_density(squares, variances, points.shape[1]))
        parts.append(total - np.log(len(centres)))
    return np.concatenate(parts)


def _log_density(squares: Double, variances: Double | float, dimensions: int) -> Double:
    """log N at squared distances from its mean."""
    result: Double = -0.5 * (squares / variances + dimensions * np.log(2 * np.pi * variances))
    return result


def _log_sum(terms: Double) -> Double:
    """log sum exp over the second axis."""
    top = terms.max(axis=1)
    result: Double = top + np.log(np.exp(terms - top[:, None]).sum(axis=1))
    return result


def _squares(x: Float, y: Float) -> Float:
    """|x - y|^2 of all pairs, [len(x), len(y)]."""
    norms = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1)
    result: Float = np.maximum(norms - 2 * x @ y.T, 0)
    return result


@functools.lru_cache(maxsize=16)
def _likelihood(training: Identity, held_out: Identity) -> HeldOutLikelihood:
    return HeldOutLikelihood(training.array, held_out.array)


def fld(samples: Float, training: Float, held_out: Float) -> IntervalEstimate | None:
    """FLD of samples; None where there are too few real images."""
    if min(len(training) // 2, len(held_out)) < FEWEST:
        return None
    return _likelihood(Identity(training), Identity(held_out)).fld(samples)
