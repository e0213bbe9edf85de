"""Euler-Maruyama on the reverse SDE, in the path's own time.

Noise comes into the image by dx = f(t) x dt + g(t) dw, and leaves it (Song et al. 2021,
arXiv:2011.13456, equation 6; Anderson 1982) by

    dx = (f x - g^2 grad log p_t(x)) dt + g dw,    grad log p_t(x) = -eps / sigma

with time running backwards. A Gaussian path determines both coefficients (Lu et al. 2022,
arXiv:2206.00927, section 2.1):

    f = alpha' / alpha,    g^2 = 2 sigma sigma' - 2 f sigma^2

which for the paths VP, subVP and VE are Song et al.'s three SDEs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.paths import GaussianPath
from genlab.samplers import (
    Denoiser,
    Prediction,
    SampleNoise,
    Step,
    sampling_loop,
    start,
    times_with_signal,
)


def coefficients(path: GaussianPath, t: float) -> tuple[float, float]:
    """f and g^2 at a time t > 0 at which alpha > 0."""
    time = torch.tensor(t, dtype=torch.float64)
    (alpha, sigma), rates = path.level(time).scalars(), path.rates(time).scalars()
    f = rates[0] / alpha
    return f, 2 * sigma * rates[1] - 2 * f * sigma**2


def euler_maruyama(
    denoiser: Denoiser, x: Tensor, prediction: Prediction, t: float, s: float
) -> tuple[Tensor, float]:
    """Mean [B, C, H, W] and standard deviation of x_s given x_t."""
    f, g2 = coefficients(denoiser.path, t)
    score = -prediction.eps / denoiser.level(t)[1]
    return x - (t - s) * (f * x - g2 * score), math.sqrt(g2 * (t - s))


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "uniform",
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in `steps` network evaluations."""

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        mean, std = euler_maruyama(denoiser, x, prediction, t, s)
        return mean + std * noise.normal(*shape)

    times = times_with_signal(denoiser, steps, spacing)
    return sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
