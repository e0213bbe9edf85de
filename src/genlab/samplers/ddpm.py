"""Ancestral sampling: draw x_s ~ q(x_s | x_t, x_0) with the predicted x_0, step by step.

Ho et al. 2020 (arXiv:2006.11239), algorithm 2 and equations 6 and 7, written for two levels
t > s at any distance (Kingma et al. 2021, arXiv:2107.00630, appendix A). With
alpha_{t|s} = alpha_t / alpha_s and sigma_{t|s}^2 = sigma_t^2 - alpha_{t|s}^2 sigma_s^2

    mean     = alpha_{t|s} sigma_s^2 / sigma_t^2  x_t  +  alpha_s sigma_{t|s}^2 / sigma_t^2  x_0
    variance = sigma_{t|s}^2 sigma_s^2 / sigma_t^2

which for s = t - 1 is the paper's "fixed small" variance; "fixed large" is sigma_{t|s}^2 itself,
beta_t for s = t - 1. The log of a learned variance lies between the logs of the two (Nichol &
Dhariwal 2021, arXiv:2102.09672, equation 15). The last step adds no noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.gaussian import interpolated_log_variance
from genlab.samplers import Denoiser, Move, Prediction, SampleNoise, Step, sampling_loop, start

Variance = Literal["small", "large", "learned"]

TINY = 1e-20
"""Replaces a variance of 0 in logarithms: two times may lie before a path's first level."""


def forward_variance(alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float) -> float:
    """sigma_{t|s}^2, the variance of q(x_t | x_s)."""
    return max(0.0, sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2)


def reverse_step(
    alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float
) -> tuple[float, float, float]:
    """Coefficients of x_t and x_0 in the mean of q(x_s | x_t, x_0), and its variance."""
    variance = forward_variance(alpha_t, sigma_t, alpha_s, sigma_s)
    share = sigma_s**2 / sigma_t**2
    return alpha_t / alpha_s * share, alpha_s * variance / sigma_t**2, variance * share


def step_std(kind: Variance, small: float, large: float, learned: Tensor | None) -> float | Tensor:
    """The standard deviation of a step whose variance lies between `small` and `large`.

    Args:
        learned: place between the logarithms of the two, from -1 to 1, [B, C, H, W].

    Raises:
        ValueError: the network learned no variance.
    """
    if kind == "small":
        return math.sqrt(small)
    if kind == "large":
        return math.sqrt(large)
    if learned is None:
        raise ValueError("variance: learned, but this network learned no variance")
    low, high = (math.log(max(variance, TINY)) for variance in (small, large))
    return (interpolated_log_variance(learned, low, high) / 2).exp()


def ancestral_move(denoiser: Denoiser, noise: SampleNoise, variance: Variance = "small") -> Move:
    """Return the ancestral step x_s ~ q(x_s | x_t, x_0)."""

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        levels = (*denoiser.level(t), *denoiser.level(s))
        from_x, from_x0, small = reverse_step(*levels)
        std = step_std(variance, small, forward_variance(*levels), prediction.variance)
        return from_x * x + from_x0 * prediction.x0 + std * noise.normal(*x.shape[1:])

    return move


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "uniform",
    variance: Variance = "small",
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in `steps` network evaluations.

    Raises:
        ValueError: variance 'learned' with a network that learned no variance.
    """
    times = denoiser.times(steps, spacing)
    x = start(denoiser, noise, shape, times[0])
    return sampling_loop(denoiser, x, times, ancestral_move(denoiser, noise, variance))
