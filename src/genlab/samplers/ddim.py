"""DDIM: the same marginals as DDPM, with any amount of new noise.

Song et al. 2021 (arXiv:2010.02502), equation 12. From level t to s

    x_s = alpha_s x_0 + sqrt(sigma_s^2 - c^2) eps + c z,    z ~ N(0, I)

eta = 0 is deterministic; c at eta = 1 is the standard deviation of ancestral sampling, which where
alpha^2 + sigma^2 = 1 is the paper's sigma_s / sigma_t sqrt(1 - alpha_t^2 / alpha_s^2)
(equation 16).

With eta = 0 it is Euler's method on d(x / alpha) = eps d(sigma / alpha) (equation 14). Other
libraries call this sampler Euler, in the scale of x / alpha.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.samplers import Denoiser, Move, Prediction, SampleNoise, Step, sampling_loop, start
from genlab.samplers.ddpm import reverse_step


def noise_scale(
    eta: float, alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float
) -> float:
    """c, the standard deviation of the new noise of a step."""
    return eta * math.sqrt(reverse_step(alpha_t, sigma_t, alpha_s, sigma_s)[2])


def ddim_move(denoiser: Denoiser, noise: SampleNoise, eta: float = 0.0) -> Move:
    """Return DDIM's step from x_t to x_s."""

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        alpha, sigma = denoiser.level(s)
        c = noise_scale(eta, *denoiser.level(t), alpha, sigma)
        shape = x.shape[1:]
        x = alpha * prediction.x0 + math.sqrt(max(0.0, sigma**2 - c**2)) * prediction.eps
        return x + c * noise.normal(*shape) if c > 0 else x

    return move


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "uniform",
    eta: float = 0.0,
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in `steps` network evaluations."""
    times = denoiser.times(steps, spacing)
    x = start(denoiser, noise, shape, times[0])
    return sampling_loop(denoiser, x, times, ddim_move(denoiser, noise, eta))
