"""The leading principal components of the training images' pixels, each of unit variance.

Unscaled, a few components of large variance (brightness, slant) would decide every distance, and
blur, which takes variance from the later ones, would hardly count.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor

from genlab.config.evaluators.pixel_pca import COMPONENTS
from genlab.config.study import EvaluationConfig
from genlab.evaluation.extractors import Extractor
from genlab.models.base import Model
from genlab.models.batches import to_float

LARGEST_SIDE = 32
"""Larger images are averaged over a grid of this side: their leading components are smooth, and a
covariance matrix of more pixels takes minutes."""
ROUNDING = 1 / (12 * 255**2)
"""Variance of the rounding to grey values, on the scale [0, 1]."""


class PixelPCA(Extractor):
    """z = diag(lambda + ROUNDING)^(-1/2) U^T (x - m), with covariance U diag(lambda) U^T.

    A component that varies less than the rounding of pixels does, such as a margin that is always
    black, stays small instead of being scaled up to unit variance.
    """

    mean: Tensor  # [D]
    projection: Tensor  # [D, F]

    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        self.device = device

    def fit(self, images: NDArray[np.uint8]) -> None:
        x = _vectors(torch.from_numpy(images))  # [M, D]
        mean = x.mean(dim=0)
        x -= mean
        covariance = (x.T @ x).double().numpy() / max(len(x) - 1, 1)  # [D, D]
        last = len(covariance) - 1
        variances, components = eigh(
            covariance, subset_by_index=[max(last - COMPONENTS + 1, 0), last]
        )
        variances, components = variances[::-1], components[:, ::-1]  # [F], [D, F], falling
        largest = np.abs(components).argmax(axis=0)
        components = components * np.sign(components[largest, np.arange(len(variances))])
        projection = components / np.sqrt(variances.clip(min=0) + ROUNDING)
        self.mean = mean.to(self.device)
        self.projection = torch.from_numpy(projection).float().to(self.device)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = (_vectors(pixels) - self.mean) @ self.projection
        return features, features[:, :0]


def _vectors(pixels: Tensor) -> Tensor:
    """uint8 [B, C, H, W] -> float32 [B, D] on [0, 1], averaged to LARGEST_SIDE at most."""
    images = to_float(pixels)
    if max(images.shape[2:]) > LARGEST_SIDE:
        images = F.adaptive_avg_pool2d(images, LARGEST_SIDE)
    return images.flatten(1)
