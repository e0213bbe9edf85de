"""EDM's sampler: Heun's method in y = x / alpha, with the ratio r = sigma / alpha as time.

Karras et al. 2022 (arXiv:2206.00364), algorithm 2, for any path. Written as y = x_0 + r eps all
paths are the same, and the ODE is dy/dr = eps (Song et al. 2021, arXiv:2010.02502, equation 14).
Before a step noise may be added ("churn"), which the step removes again: from r to

    r_hat = (1 + gamma) r,    gamma = min(S_churn / N, sqrt(2) - 1)
    x_hat = y + sqrt(r_hat^2 - r^2) S_noise z,    z ~ N(0, I)

where S_tmin <= r <= S_tmax. r_hat does not exceed the ratio of the path's pure noise. The last
step, to the clean image, is Euler's, y - r eps = x_0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.paths import CLEAN
from genlab.samplers import (
    Denoiser,
    Prediction,
    SampleNoise,
    Step,
    sampling_loop,
    start,
    times_with_signal,
)


def ratio(denoiser: Denoiser, t: float) -> float:
    """r(t) = sigma / alpha."""
    alpha, sigma = denoiser.level(t)
    return sigma / alpha


def time_of(denoiser: Denoiser, r: float) -> float:
    """The time at which sigma / alpha is r, at most that of pure noise."""
    t = denoiser.path.time_of(torch.tensor(r, dtype=torch.float64))
    return min(float(t), denoiser.path.t_max)


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "karras",
    churn: float = 0.0,
    churn_from: float = 0.05,
    churn_to: float = 50.0,
    churn_noise: float = 1.003,
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in 2 steps - 1 network evaluations.

    Args:
        churn, churn_from, churn_to, churn_noise: S_churn, S_tmin, S_tmax and S_noise.
    """
    S_churn, S_tmin, S_tmax, S_noise = churn, churn_from, churn_to, churn_noise
    times = times_with_signal(denoiser, steps, spacing)
    gamma = min(S_churn / steps, math.sqrt(2) - 1)

    def predict(y: Tensor, t: float) -> Prediction:
        return denoiser(denoiser.level(t)[0] * y, t)

    def add_noise(y: Tensor, t: float) -> tuple[Tensor, float]:
        """x_hat and the time of r_hat; y and t themselves where no noise is added."""
        r = ratio(denoiser, t)
        if gamma == 0 or not S_tmin <= r <= S_tmax:
            return y, t
        t_hat = time_of(denoiser, (1 + gamma) * r)
        variance = max(0.0, ratio(denoiser, t_hat) ** 2 - r**2)
        return y + S_noise * math.sqrt(variance) * noise.normal(*shape), t_hat

    def move(x_hat: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        h, d_cur = ratio(denoiser, s) - ratio(denoiser, t), prediction.eps
        d_next = predict(x_hat + h * d_cur, s).eps
        return x_hat + h * (d_cur + d_next) / 2

    y = start(denoiser, noise, shape, times[0]) / denoiser.level(times[0])[0]
    states = sampling_loop(predict, y, times, move, add_noise)
    for (y, x0), s in zip(states, [*times[1:], CLEAN], strict=True):
        yield Step(denoiser.level(s)[0] * y, x0)
