"""One point of a learning curve: the quality of samples, and how many of them are copies.

Copies are counted by the distance of pixels, as Bonnaire et al. (2025, arXiv:2505.17638, section 2)
do it; `genlab.evaluation.memorisation.ratios` has the rule. The league's column "copies" follows
the same rule, but moves each sample by up to a pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genlab.config.study import EvaluationConfig
from genlab.evaluation.memorisation.ratios import copy_mask, distance_ratios
from genlab.evaluation.metrics import Comparison, Features, Images, Values
from genlab.evaluation.metrics.fid import FID
from genlab.evaluation.metrics.kid import KID

CHUNK = 256


def nearest_ratios(samples: Images, training: Images) -> NDArray[np.float64]:
    """||x - a1|| / ||x - a2|| of each sample x, [N], for its two nearest training images.

    Products in float32 find the two images, by ||x - a||^2 = ||x||^2 - 2 x . a + ||a||^2; integers
    measure their distances.

    Args:
        samples: uint8 [N, C, H, W].
        training: uint8 [M, C, H, W], at least 2 images.
    """
    a = training.reshape(len(training), -1).astype(np.float32) / 255  # [M, D]
    a_squared = np.square(a).sum(axis=1)
    ratios = np.empty(len(samples))
    for start in range(0, len(samples), CHUNK):
        pixels = samples[start : start + CHUNK].reshape(-1, a.shape[1])  # [B, D]
        distances = a_squared - 2 * (pixels.astype(np.float32) / 255) @ a.T  # less ||x||^2
        two = np.argpartition(distances, 1, axis=1)[:, :2]  # [B, 2]
        images = training[two].reshape(len(pixels), 2, -1).astype(np.int64)
        squared = np.square(images - pixels[:, None].astype(np.int64)).sum(axis=2)
        ratios[start : start + len(pixels)] = distance_ratios(np.sqrt(np.sort(squared, axis=1)))
    return ratios


def copied_share(samples: Images, training: Images) -> float:
    """Share of the samples that are copies of a training image."""
    return float(copy_mask(nearest_ratios(samples, training)).mean())


def measure_quality(
    generated: Features, training: Features, held_out: Features, config: EvaluationConfig
) -> Values:
    """Frechet and kernel distances in the features of one extractor, as in the league."""
    comparison = Comparison(generated, training, config, held_out)
    return {**FID().compute(comparison), **KID().compute(comparison)}
