"""DPM-Solver++(2M): DDIM with x_0 extrapolated linearly from the previous step.

Lu et al. 2022 (arXiv:2211.01095), algorithm 2. In lambda = log(alpha / sigma) the ODE is linear
except for x_0(lambda), and DDIM is exact where x_0 is constant. The second-order method uses

    D = x_0 + h / (2 h_previous) (x_0 - previous x_0),    h = lambda_s - lambda_t

the value in the middle of the step of the line through both, in DDIM's step:

    x_s = alpha_s D + sigma_s (x_t - alpha_t D) / sigma_t
        = sigma_s / sigma_t x_t - alpha_s (e^-h - 1) D

`stochastic` is SDE-DPM-Solver++(2M), the same for the reverse SDE: its coefficients are those of
ancestral sampling (`genlab.samplers.ddpm`), which is exact where x_0 is constant. The first step
has no previous one and the last has an infinite h: both are of first order, and so is a step after
one from a level without signal, where h_previous is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.samplers import (
    Denoiser,
    Prediction,
    SampleNoise,
    Step,
    log_snr,
    sampling_loop,
    start,
)
from genlab.samplers.ddpm import reverse_step


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
    previous: tuple[float, Tensor] | None = None  # lambda and x_0 of the previous step

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        nonlocal previous
        levels = (*denoiser.level(t), *denoiser.level(s))
        alpha_t, sigma_t, alpha_s, sigma_s = levels
        lambda_t, lambda_s = log_snr(alpha_t, sigma_t), log_snr(alpha_s, sigma_s)
        d = prediction.x0
        if previous is not None and lambda_t > previous[0]:
            share = (lambda_s - lambda_t) / (2 * (lambda_t - previous[0]))
            d = prediction.x0 + share * (prediction.x0 - previous[1])
        previous = lambda_t, prediction.x0
        if stochastic:
            from_x, from_x0, variance = reverse_step(*levels)
            return from_x * x + from_x0 * d + math.sqrt(variance) * noise.normal(*shape)
        return alpha_s * d + sigma_s / sigma_t * (x - alpha_t * d)

    times = denoiser.times(steps, spacing)
    return sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
