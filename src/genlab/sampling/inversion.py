"""Inversion: from an image to its noise by the probability-flow ODE, and back.

The ODE is deterministic, so it maps images and noise to each other one to one (Song et al. 2021,
arXiv:2011.13456, section 4.3, "uniquely identifiable encoding"; DDIM, arXiv:2010.02502, section
5.4). Written in levels instead of time it is, for every path,

    dx = x_0 d alpha + eps d sigma

Euler's method on it is DDIM, x_s = alpha_s x_0 + sigma_s eps. Heun's method, with the mean of both
ends of a step, is of second order; it is used here in both directions, at the same times.

The image is taken as x_t at the path's least ratio. Predictions of x_0 are clipped where those of
the sampler are; the map stays invertible (`genlab.processes.ode_likelihood`).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.gaussian import Denoiser


def solve_in_levels(denoiser: Denoiser, x: Tensor, times: list[float]) -> Tensor:
    """Take x [B, C, H, W] from the first of `times` to the last; two evaluations a step."""
    for t, s in pairwise(times):
        (alpha_t, sigma_t), (alpha, sigma) = denoiser.level(t), denoiser.level(s)
        x0, eps, _ = denoiser(x, t)
        next_x0, next_eps, _ = denoiser(alpha * x0 + sigma * eps, s)
        x = x + (alpha - alpha_t) * (x0 + next_x0) / 2 + (sigma - sigma_t) * (eps + next_eps) / 2
    return x


def encode(
    denoiser: Denoiser, images: Tensor, *, steps: int, spacing: Spacing = "karras"
) -> Tensor:
    """The noise of `images` [B, C, H, W] on [-1, 1]: x_t, float64, at the path's first time."""
    return solve_in_levels(denoiser, images.double(), denoiser.times(steps + 1, spacing)[::-1])


def decode(denoiser: Denoiser, noise: Tensor, *, steps: int, spacing: Spacing = "karras") -> Tensor:
    """The images, float64 on about [-1, 1], of noise [B, C, H, W] as returned by `encode`."""
    return solve_in_levels(denoiser, noise.double(), denoiser.times(steps + 1, spacing))


def round_trip(
    denoiser: Denoiser, images: Tensor, *, steps: int, spacing: Spacing = "karras"
) -> tuple[Tensor, Tensor]:
    """The noise of `images` [B, C, H, W] on [-1, 1], and the images decoded from it."""
    noise = encode(denoiser, images, steps=steps, spacing=spacing)
    return noise, decode(denoiser, noise, steps=steps, spacing=spacing)
