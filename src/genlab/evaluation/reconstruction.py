"""Errors of reconstructed images."""

from __future__ import annotations

from torch import Tensor


def squared_errors(reconstructions: Tensor, images: Tensor) -> Tensor:
    """Mean squared error of each image, [B], of [B, C, H, W] on [0, 1]."""
    return (reconstructions - images).square().mean(dim=(1, 2, 3))


def mean_psnr(mse: Tensor) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(1 / MSE) of each image, then the mean."""
    return float((-10 * mse.clamp(min=1e-12).log10()).mean())
