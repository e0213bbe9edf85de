"""Low-level statistics of single images, standardised by those of the training images.

A Laplacian pyramid (Burt & Adelson 1983, doi:10.1109/TCOM.1983.1095851) splits an image into bands
of detail. Moments of the bands tell grain, blur and contrast apart; the histogram of the values
shows veils over black or white; the gradients show how sharp edges are.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.evaluators.low_level import LEVELS
from genlab.config.study import EvaluationConfig
from genlab.evaluation.extractors import BATCH, Extractor
from genlab.models.base import Model
from genlab.models.batches import to_float

BINOMIAL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
KERNEL = torch.outer(BINOMIAL, BINOMIAL)[None, None]  # w of the paper with a = 3/8, [1, 1, 5, 5]
ROUNDING = 1 / (12 * 255**2)
"""Variance of the rounding to grey values, which keeps the logarithm of a constant band finite."""
BINS = 10
"""0, 1 to 31, 32 to 63, ..., 224 to 254, 255."""
LEFT_OUT = 5
"""A bin that follows from the others, whose shares add up to 1: 128 to 159."""
SMALLEST_STD = 0.05
"""Shares, moments and logarithms are all of order 1. One that varies less than this among the
training images is divided by this instead: a change of it is seen, and does not decide alone."""


class LowLevel(Extractor):
    """(s - m) / max(d, SMALLEST_STD), with mean m and std d of s over the training images."""

    mean: Tensor  # [F]
    std: Tensor  # [F]

    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        self.device = device

    def fit(self, images: NDArray[np.uint8]) -> None:
        parts = torch.split(torch.from_numpy(images), BATCH)  # [B, C, H, W] each
        values = torch.cat([statistics(part.to(self.device)) for part in parts])  # [M, F]
        self.mean = values.mean(dim=0)
        self.std = values.std(dim=0, unbiased=False).clamp(min=SMALLEST_STD)

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features = (statistics(pixels) - self.mean) / self.std
        return features, features[:, :0]


def statistics(pixels: Tensor) -> Tensor:
    """uint8 [B, C, H, W] -> all statistics [B, F]."""
    images = to_float(pixels)
    *bands, rest = laplacian_pyramid(images)
    moments = [moments_of(band) for band in bands]
    remainder = moments_of(rest)[:, :2]  # mean and log std; it has too few pixels for more
    per_channel = torch.cat([*moments, remainder], dim=1).flatten(1)
    return torch.cat([per_channel, shares(pixels), gradient_energies(images)], dim=1)


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """Images [B, C, H, W] -> LEVELS bands of falling side and the remaining low-pass image.

    L_l = g_l - EXPAND(g_(l+1)) with g_(l+1) = REDUCE(g_l), g_0 the image.
    """
    pyramid: list[Tensor] = []
    g = images
    for _ in range(LEVELS):
        coarse = reduce(g)
        pyramid.append(g - expand(coarse, g.shape[2], g.shape[3]))
        g = coarse
    return [*pyramid, g]


def reduce(g: Tensor) -> Tensor:
    """g'(i, j) = sum_mn w(m, n) g(2i + m, 2j + n); half the side, rounded up."""
    b, c, h, w = g.shape
    padded = F.pad(g.reshape(b * c, 1, h, w), (2, 2, 2, 2), mode="replicate")
    reduced = F.conv2d(padded, KERNEL.to(g.device), stride=2)
    return reduced.reshape(b, c, *reduced.shape[2:])


def expand(g: Tensor, height: int, width: int) -> Tensor:
    """g'(i, j) = 4 sum_mn w(m, n) g((i - m) / 2, (j - n) / 2) over whole numbers only."""
    b, c, h, w = g.shape
    padded = F.pad(g.reshape(b * c, 1, h, w), (1, 1, 1, 1), mode="replicate")
    expanded = F.conv_transpose2d(padded, 4 * KERNEL.to(g.device), stride=2)
    first = 4  # of the pixel (0, 0): two for the padding, two for the kernel
    return expanded[:, :, first : first + height, first : first + width].reshape(
        b, c, height, width
    )


def moments_of(band: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, 4, C]: mean, log std, mean absolute value, and the latter / rms.

    The last one falls with the tails of the distribution: .80 for Gaussian grain, less for edges on
    an even ground (Geary 1935, doi:10.2307/2332693).
    """
    values = band.flatten(2)
    mean, square = values.mean(dim=2), values.square().mean(dim=2) + ROUNDING
    log_std = 0.5 * (square - mean.square()).log()
    absolute = values.abs().mean(dim=2)
    return torch.stack([mean, log_std, absolute, absolute / square.sqrt()], dim=1)


def shares(pixels: Tensor) -> Tensor:
    """uint8 [B, C, H, W] -> shares [B, BINS - 1] of values that are 0, 1 to 31, ..., 255."""
    values = pixels.int()
    bins = values // 32 + (values > 0).int() + (values == 255).int()
    kept = [k for k in range(BINS) if k != LEFT_OUT]
    return torch.stack([(bins == k).float().mean(dim=(1, 2, 3)) for k in kept], dim=1)


def gradient_energies(images: Tensor) -> Tensor:
    """Images [B, C, H, W] -> log rms [B, 2] of the differences of rows and of columns."""
    energies = [images.diff(dim=axis).square().mean(dim=(1, 2, 3)) for axis in (2, 3)]
    return 0.5 * (torch.stack(energies, dim=1) + ROUNDING).log()
