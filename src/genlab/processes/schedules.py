"""Noise schedules of discrete-time diffusion, computed in float64.

A schedule is given by its variances beta_1..beta_T. With alpha_bar_t = prod_{s<=t} (1 - beta_s),
noising in one step is x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps
(Ho et al. 2020, arXiv:2006.11239, equation 4).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_BETA = 0.999


def linear_betas(timesteps: int) -> Tensor:
    """beta [T] from 1e-4 to 0.02 at T = 1000 (Ho et al. 2020, section 4), float64.

    For another T both ends are scaled by 1000 / T, so that alpha_bar_T is near 0 all the same;
    unscaled, T = 100 would leave sqrt(0.36) of the image in the last step.
    """
    scale = 1000 / timesteps
    betas = torch.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=torch.float64)
    return betas.clamp(max=MAX_BETA)


def cosine_betas(timesteps: int, s: float = 0.008) -> Tensor:
    """beta [T] with alpha_bar(t) proportional to cos^2((t/T + s) / (1 + s) pi/2), float64.

    Nichol & Dhariwal 2021 (arXiv:2102.09672), equation 17; beta is clipped at .999 as there.
    """
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    f = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=MAX_BETA)


def sigmoid_betas(
    timesteps: int, start: float = -3.0, end: float = 3.0, tau: float = 1.0
) -> Tensor:
    """beta [T] with alpha_bar(t) falling from 1 to 0 as a sigmoid between `start` and `end`.

    Jabri et al. 2022 (arXiv:2212.11972), as written out by Chen 2023 (arXiv:2301.10972, algorithm
    1); float64, beta clipped at .999 as above.
    """
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    falling = torch.sigmoid(-((end - start) * t + start) / tau)
    first, last = falling[0].clone(), falling[-1].clone()
    f = (falling - last) / (first - last)
    return (1 - f[1:] / f[:-1]).clamp(max=MAX_BETA)


def with_zero_terminal_snr(betas: Tensor) -> Tensor:
    """`betas` [T] rescaled so that alpha_bar_T = 0 and alpha_bar_1 stays; float64.

    sqrt(alpha_bar) is shifted and scaled (Lin et al. 2023, arXiv:2305.08891, algorithm 1).
    """
    root = torch.cumprod(1 - betas, dim=0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    alpha_bar = root**2
    alphas = torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])
    return 1 - alphas


SCHEDULES = {"linear": linear_betas, "cosine": cosine_betas, "sigmoid": sigmoid_betas}


def respaced(timesteps: int, steps: int) -> list[int]:
    """`steps` of the indices 0..T-1, falling from T-1, as evenly spaced as whole numbers can be.

    This is 'trailing' spacing (999, 899, .. 99 for T = 1000, steps = 10), which starts from pure
    noise, as the sampler does (Lin et al. 2023, arXiv:2305.08891, section 3.3).
    """
    if not 1 <= steps <= timesteps:
        raise ValueError(f"steps must lie in 1..{timesteps}, not {steps}")
    return [round(timesteps - i * timesteps / steps) - 1 for i in range(steps)]
