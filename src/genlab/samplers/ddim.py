"""DDIM: the same marginals as DDPM, with as much or as little new noise as wanted.

Song et al. 2021 (arXiv:2010.02502), equation 12. From level t to s

    x_s = alpha_s x_0 + sqrt(sigma_s^2 - c^2) eps + c z,    z ~ N(0, I)
    c   = eta sigma_s / sigma_t sqrt(1 - alpha_t^2 / alpha_s^2)          (equation 16)

eta = 0 is deterministic; eta = 1 has the variance of ancestral sampling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from genlab.processes.schedules import respaced
from genlab.samplers import Denoiser, SampleNoise, Step


def noise_scale(
    eta: float, alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float
) -> float:
    """c, the standard deviation of the new noise."""
    return eta * sigma_s / sigma_t * math.sqrt(max(0.0, 1 - alpha_t**2 / alpha_s**2))


def sample(
    denoiser: Denoiser, noise: SampleNoise, shape: tuple[int, ...], *, steps: int, eta: float = 0.0
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in `steps` network evaluations."""
    x = noise.normal(*shape)
    times = respaced(len(denoiser), steps)
    for t, s in zip(times, [*times[1:], -1], strict=True):
        x0, eps = denoiser(x, t)
        alpha, sigma = denoiser.level(s)
        c = noise_scale(eta, *denoiser.level(t), alpha, sigma)
        x = alpha * x0 + math.sqrt(max(0.0, sigma**2 - c**2)) * eps
        if c > 0:
            x = x + c * noise.normal(*shape)
        yield Step(x, x0)
