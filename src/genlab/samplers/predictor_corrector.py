"""Predictor-corrector sampling: a step down the path, then Langevin dynamics where it led to.

Song et al. 2021 (arXiv:2011.13456), algorithm 1, with the corrector of algorithms 4 and 5,

    x <- x + e score + sqrt(2 e) z,    e = 2 alpha_i (snr |z| / |score|)^2,    z ~ N(0, I)

where alpha_i is the square of what the path keeps of the signal in a step up to this level: the
paper's 1 - beta_i for VP, 1 for VE. Norms are those of each sample, not their mean over a batch as
in the paper, so that a sample doesn't depend on the others. Predictors are, from t to s:

    euler-maruyama     of the reverse SDE (`genlab.samplers.euler_maruyama`)
    reverse-diffusion  the forward step x_t = a x_s + G z, taken back as the SDE is (equation 46):
                       x_s = (2 - a) x_t + G^2 score + G z
    ancestral          the mean and variance of q(x_s | x_t, x_0) (`genlab.samplers.ddpm`), for VE
                       the paper's equation 47

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
from genlab.samplers import Denoiser, Ends, SampleNoise, Step, euler_maruyama, times_of_signal, walk
from genlab.samplers.ddpm import jump_variance, posterior

Predictor = Literal["euler-maruyama", "reverse-diffusion", "ancestral"]


def reverse_diffusion(
    denoiser: Denoiser, x: Tensor, found: Ends, t: float, s: float
) -> tuple[Tensor, float]:
    """Mean [B, C, H, W] and standard deviation of x_s given x_t."""
    (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.level(t), denoiser.level(s)
    variance = jump_variance(alpha_t, sigma_t, alpha_s, sigma_s)
    score = -found.eps / sigma_t
    return (2 - alpha_t / alpha_s) * x + variance * score, math.sqrt(variance)


def ancestral(
    denoiser: Denoiser, x: Tensor, found: Ends, t: float, s: float
) -> tuple[Tensor, float]:
    """Mean [B, C, H, W] and standard deviation of x_s given x_t."""
    from_x, from_x0, variance = posterior(*denoiser.level(t), *denoiser.level(s))
    return from_x * x + from_x0 * found.x0, math.sqrt(variance)


PREDICTORS: dict[Predictor, Callable[..., tuple[Tensor, float]]] = {
    "euler-maruyama": euler_maruyama.predict,
    "reverse-diffusion": reverse_diffusion,
    "ancestral": ancestral,
}


def langevin(x: Tensor, score: Tensor, z: Tensor, snr: float, alpha: float) -> Tensor:
    """A corrected x; x, its score and the noise z are [B, C, H, W]."""
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

    In steps + corrections (steps - 1) network evaluations.
    """
    times = times_of_signal(denoiser, steps, spacing)
    after = dict(pairwise([*times, CLEAN]))

    def move(x: Tensor, found: Ends, t: float, s: float) -> Tensor:
        mean, std = PREDICTORS[predictor](denoiser, x, found, t, s)
        x = mean + std * noise.normal(*shape)
        alpha, sigma = denoiser.level(s)
        kept = (alpha / denoiser.level(after[s])[0]) ** 2
        for _ in range(corrections):
            score = -denoiser(x, s).eps / sigma
            x = langevin(x, score, noise.normal(*shape), snr, kept)
        return x

    return walk(denoiser, noise, shape, times, move)
