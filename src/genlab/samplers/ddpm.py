"""Ancestral sampling: draw x_s ~ q(x_s | x_t, x_0) with the predicted x_0, step by step.

Ho et al. 2020 (arXiv:2006.11239), algorithm 2 and equations 6 and 7, written for two levels
t > s at any distance (Kingma et al. 2021, arXiv:2107.00630, appendix A). With
alpha_{t|s} = alpha_t / alpha_s and sigma_{t|s}^2 = sigma_t^2 - alpha_{t|s}^2 sigma_s^2

    mean     = alpha_{t|s} sigma_s^2 / sigma_t^2  x_t  +  alpha_s sigma_{t|s}^2 / sigma_t^2  x_0
    variance = sigma_{t|s}^2 sigma_s^2 / sigma_t^2

which for s = t - 1 is the paper's "fixed small" posterior variance. The last step has variance 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from genlab.processes.schedules import respaced
from genlab.samplers import Denoiser, SampleNoise, Step


def posterior(
    alpha_t: float, sigma_t: float, alpha_s: float, sigma_s: float
) -> tuple[float, float, float]:
    """Coefficients of x_t and x_0 in the mean of q(x_s | x_t, x_0), and its variance."""
    alpha = alpha_t / alpha_s
    variance = sigma_t**2 - alpha**2 * sigma_s**2  # sigma_{t|s}^2
    share = sigma_s**2 / sigma_t**2
    return alpha * share, alpha_s * variance / sigma_t**2, variance * share


def sample(
    denoiser: Denoiser, noise: SampleNoise, shape: tuple[int, ...], *, steps: int
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in `steps` network evaluations."""
    x = noise.normal(*shape)
    times = respaced(len(denoiser), steps)
    for t, s in zip(times, [*times[1:], -1], strict=True):
        x0, _ = denoiser(x, t)
        from_x, from_x0, variance = posterior(*denoiser.level(t), *denoiser.level(s))
        x = from_x * x + from_x0 * x0
        if s >= 0:
            x = x + variance**0.5 * noise.normal(*shape)
        yield Step(x, x0)
