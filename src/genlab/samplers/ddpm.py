"""Ancestral sampling: draw x_s ~ q(x_s | x_t, x_0) with the predicted x_0, step by step.

Ho et al. 2020 (arXiv:2006.11239), algorithm 2 and equations 6 and 7, written for two levels
t > s at any distance (Kingma et al. 2021, arXiv:2107.00630, appendix A). With
alpha_{t|s} = alpha_t / alpha_s and sigma_{t|s}^2 = sigma_t^2 - alpha_{t|s}^2 sigma_s^2

    mean     = alpha_{t|s} sigma_s^2 / sigma_t^2  x_t  +  alpha_s sigma_{t|s}^2 / sigma_t^2  x_0
    variance = sigma_{t|s}^2 sigma_s^2 / sigma_t^2

which for s = t - 1 is the paper's "fixed small" posterior variance; "fixed large" is
sigma_{t|s}^2 itself, beta_t for s = t - 1. A learned variance lies between the two, in logarithms
(Nichol & Dhariwal 2021, arXiv:2102.09672, equation 15). The last step adds no noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.gaussian import log_variance
from genlab.samplers import Denoiser, Ends, SampleNoise, Step, walk

Variance = Literal["small", "large", "learned"]

TINY = 1e-20
"""Stands for a variance of 0 in logarithms: two times may lie in front of a path's first level."""


def jump_variance(alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float) -> float:
    """sigma_{t|s}^2, the variance that the path adds on the way from s to t."""
    return max(0.0, sigma_t**2 - (alpha_t / alpha_s) ** 2 * sigma_s**2)


def posterior(
    alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float
) -> tuple[float, float, float]:
    """Coefficients of x_t and x_0 in the mean of q(x_s | x_t, x_0), and its variance."""
    variance = jump_variance(alpha_t, sigma_t, alpha_s, sigma_s)
    share = sigma_s**2 / sigma_t**2
    return alpha_t / alpha_s * share, alpha_s * variance / sigma_t**2, variance * share


def deviation(kind: Variance, small: float, large: float, learned: Tensor | None) -> float | Tensor:
    """The standard deviation of a step whose variance lies between `small` and `large`.

    Args:
        learned: where between the logarithms of the two, from -1 to 1, [B, C, H, W].

    Raises:
        ValueError: the network learned none.
    """
    if kind == "small":
        return math.sqrt(small)
    if kind == "large":
        return math.sqrt(large)
    if learned is None:
        raise ValueError("variance: learned, but this network learned none")
    low, high = (math.log(max(variance, TINY)) for variance in (small, large))
    return (log_variance(learned, low, high) / 2).exp()


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
        ValueError: variance 'learned' of a network that learned none.
    """

    def move(x: Tensor, found: Ends, t: float, s: float) -> Tensor:
        levels = (*denoiser.level(t), *denoiser.level(s))
        from_x, from_x0, small = posterior(*levels)
        std = deviation(variance, small, jump_variance(*levels), found.variance)
        return from_x * x + from_x0 * found.x0 + std * noise.normal(*shape)

    return walk(denoiser, noise, shape, denoiser.times(steps, spacing), move)
