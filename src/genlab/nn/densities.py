"""Gaussian densities and divergences, and densities of quantised images, in nats."""

from __future__ import annotations

import math

from torch import Tensor


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)) of every dimension, same shape as `mu`.

    Kingma & Welling 2014 (arXiv:1312.6114), appendix B.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mu, exp(logvar)) of every dimension; the three are broadcast."""
    return -0.5 * ((z - mu).square() * (-logvar).exp() + logvar + math.log(2 * math.pi))


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1) of every dimension."""
    return -0.5 * (z.square() + math.log(2 * math.pi))


def log_mean_exp(values: Tensor, dim: int) -> Tensor:
    """log of the mean of exp(values) over `dim`, in float64; of log weights this is IWAE-K."""
    return values.double().logsumexp(dim) - math.log(values.shape[dim])


def grey_values(pixels: Tensor) -> Tensor:
    """Dequantised y = (x + u) / 256 on [0, 1) -> x / 255, the images that training sees."""
    return (256 * pixels).floor().clamp(max=255) / 255  # float32 rounds 255 + u up to 256


def dequantised(log_p: Tensor, shape: tuple[int, ...]) -> Tensor:
    """log p(y) of dequantised images of `shape`, from log P(x) of their grey values, both [B].

    The probability is spread evenly over each bin of grey values, whose volume is 256^-D.
    """
    return log_p + math.prod(shape) * math.log(256)
