"""EDM's sampler: Heun's method in y = x / alpha, with the ratio r = sigma / alpha as time.

Karras et al. 2022 (arXiv:2206.00364), algorithm 2, for any path. Seen as y = x_0 + r eps all paths
are one, and the ODE is dy/dr = eps (Song et al. 2021, arXiv:2010.02502, equation 14). Before a step
noise may be added, "churn", which the step takes off again: from r to

    r_hat = (1 + gamma) r,    gamma = min(churn / N, sqrt(2) - 1)
    y_hat = y + sqrt(r_hat^2 - r^2) churn_noise z,    z ~ N(0, I)

where r lies between churn_from and churn_to. No path is taken beyond its pure noise: r_hat ends
there. The last step, to the clean image, is Euler's, y - r eps = x_0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.paths import CLEAN
from genlab.samplers import Denoiser, SampleNoise, Step, start, times_of_signal


def ratio(denoiser: Denoiser, t: float) -> float:
    """r(t) = sigma / alpha."""
    alpha, sigma = denoiser.level(t)
    return sigma / alpha


def time_of(denoiser: Denoiser, r: float) -> float:
    """The time at which sigma / alpha is r, or that of pure noise if it never is."""
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
    """Draw len(noise) images [C, H, W] = `shape` in 2 steps - 1 network evaluations."""
    times = times_of_signal(denoiser, steps, spacing)
    gamma = min(churn / steps, math.sqrt(2) - 1)

    def churned(y: Tensor, t: float) -> tuple[Tensor, float]:
        """y_hat and the time of r_hat; as they were where no noise is due."""
        r = ratio(denoiser, t)
        if gamma == 0 or not churn_from <= r <= churn_to:
            return y, t
        t_hat = time_of(denoiser, (1 + gamma) * r)
        added = max(0.0, ratio(denoiser, t_hat) ** 2 - r**2)
        return y + churn_noise * math.sqrt(added) * noise.normal(*shape), t_hat

    y = start(denoiser, noise, shape, times[0]) / denoiser.level(times[0])[0]
    for planned, s in pairwise([*times, CLEAN]):
        y, t = churned(y, planned)
        x0, slope, _ = denoiser(denoiser.level(t)[0] * y, t)
        alpha = denoiser.level(s)[0]
        if s == CLEAN:
            y = x0
        else:
            h = ratio(denoiser, s) - ratio(denoiser, t)
            ahead = denoiser(alpha * (y + h * slope), s).eps
            y = y + h * (slope + ahead) / 2
        yield Step(alpha * y, x0)
