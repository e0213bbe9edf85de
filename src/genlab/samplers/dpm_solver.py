"""DPM-Solver++(2M): DDIM with an x_0 carried on in a straight line from the step before.

Lu et al. 2022 (arXiv:2211.01095), algorithm 2. In lambda = log(alpha / sigma) the ODE is linear but
for x_0(lambda), and DDIM is exact where that is constant. The second-order method takes for it

    D = x_0 + h / (2 h_before) (x_0 - x_0 of the step before),    h = lambda_s - lambda_t

what a line through both says in the middle of the step, and goes on as DDIM does:

    x_s = alpha_s D + sigma_s (x_t - alpha_t D) / sigma_t
        = sigma_s / sigma_t x_t - alpha_s (e^-h - 1) D

`stochastic` is SDE-DPM-Solver++(2M), the same for the reverse SDE: its coefficients are those of
ancestral sampling (`genlab.samplers.ddpm`), which is exact where x_0 is constant. The first step
has none before it and the last has an infinite h: both are of first order, as is one after a step
from a level without any signal, where h_before is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.samplers import Denoiser, Ends, SampleNoise, Step, walk
from genlab.samplers.ddpm import posterior


def log_snr(alpha: float, sigma: float) -> float:
    """lambda = log(alpha / sigma), half the logarithm of the signal-to-noise ratio."""
    return math.log(alpha / sigma) if alpha > 0 else -math.inf


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "log-snr",
    stochastic: bool = False,
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in `steps` network evaluations."""
    before: tuple[float, Tensor] | None = None  # lambda and x_0 of the step before

    def move(x: Tensor, found: Ends, t: float, s: float) -> Tensor:
        nonlocal before
        levels = (*denoiser.level(t), *denoiser.level(s))
        alpha_t, sigma_t, alpha_s, sigma_s = levels
        lambda_t, lambda_s = log_snr(alpha_t, sigma_t), log_snr(alpha_s, sigma_s)
        data = found.x0
        if before is not None and lambda_t > before[0]:
            share = (lambda_s - lambda_t) / (2 * (lambda_t - before[0]))
            data = found.x0 + share * (found.x0 - before[1])
        before = lambda_t, found.x0
        if stochastic:
            from_x, from_x0, variance = posterior(*levels)
            return from_x * x + from_x0 * data + math.sqrt(variance) * noise.normal(*shape)
        return alpha_s * data + sigma_s / sigma_t * (x - alpha_t * data)

    return walk(denoiser, noise, shape, denoiser.times(steps, spacing), move)
