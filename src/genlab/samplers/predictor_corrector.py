"""Predictor-corrector sampling: a step along the path, then Langevin dynamics at the new level.

Song et al. 2021 (arXiv:2011.13456), algorithm 1, with the corrector of algorithms 4 and 5,

    x <- x + e score + sqrt(2 e) z,    e = 2 alpha_i (snr |z| / |score|)^2,    z ~ N(0, I)

where alpha_i is the squared factor by which the forward step to this level scales the signal: the
paper's 1 - beta_i for VP, 1 for VE. Norms are those of each sample, not their mean over a batch as
in the paper, so a sample does not depend on the others. Predictors from t to s:

    euler-maruyama     the reverse SDE (`genlab.samplers.euler_maruyama`)
    reverse-diffusion  the forward step x_t = a x_s + G z, reversed like the SDE (equation 46):
                       x_s = (2 - a) x_t + G^2 score + G z
    ancestral          mean and variance of q(x_s | x_t, x_0) (`genlab.samplers.ddpm`); for VE the
                       paper's equation 47

with a = alpha_t / alpha_s, G^2 = sigma_t^2 - a^2 sigma_s^2. The last step, to the clean image, is
not corrected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.gaussian import over_pixels
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
from genlab.samplers.ddpm import forward_variance, reverse_step
from genlab.samplers.euler_maruyama import euler_maruyama

Predictor = Literal["euler-maruyama", "reverse-diffusion", "ancestral"]


def reverse_diffusion(
    denoiser: Denoiser, x: Tensor, prediction: Prediction, t: float, s: float
) -> tuple[Tensor, float]:
    """Mean [B, C, H, W] and standard deviation of x_s given x_t."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.level(t), denoiser.level(s)
    variance = forward_variance(alpha_t, sigma_t, alpha_s, sigma_s)
    score = -prediction.eps / sigma_t
    return (2 - alpha_t / alpha_s) * x + variance * score, math.sqrt(variance)


def ancestral(
    denoiser: Denoiser, x: Tensor, prediction: Prediction, t: float, s: float
) -> tuple[Tensor, float]:
    """Mean [B, C, H, W] and standard deviation of x_s given x_t."""
    from_x, from_x0, variance = reverse_step(*denoiser.level(t), *denoiser.level(s))
    return from_x * x + from_x0 * prediction.x0, math.sqrt(variance)


PREDICTORS: dict[Predictor, Callable[..., tuple[Tensor, float]]] = {
    "euler-maruyama": euler_maruyama,
    "reverse-diffusion": reverse_diffusion,
    "ancestral": ancestral,
}


def langevin(x: Tensor, score: Tensor, z: Tensor, snr: float, alpha: float) -> Tensor:
    """A step of Langevin dynamics from x; x, its score and the noise z are [B, C, H, W]."""
    norms = z.flatten(1).norm(dim=1) / score.flatten(1).norm(dim=1)  # [B]
    size = over_pixels(2 * alpha * (snr * norms) ** 2)
    return x + size * score + (2 * size).sqrt() * z


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "uniform",
    predictor: Predictor = "reverse-diffusion",
    corrections: int = 1,
    snr: float = 0.16,
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape`.

    Takes steps + corrections (steps - 1) network evaluations.
    """
    times = times_with_signal(denoiser, steps, spacing)
    following = dict(pairwise([*times, CLEAN]))

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        mean, std = PREDICTORS[predictor](denoiser, x, prediction, t, s)
        x = mean + std * noise.normal(*shape)
        alpha, sigma = denoiser.level(s)
        alpha_i = (alpha / denoiser.level(following[s])[0]) ** 2
        for _ in range(corrections):
            score = -denoiser(x, s).eps / sigma
            x = langevin(x, score, noise.normal(*shape), snr, alpha_i)
        return x

    return sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
