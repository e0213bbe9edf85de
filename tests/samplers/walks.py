"""Every sampler in every one of its kinds, and walks with it."""

from __future__ import annotations

from typing import Any

import torch
from oracles import StreamNoise, UnitNoise
from torch import Tensor

from genlab.processes.gaussian import Denoiser
from genlab.samplers import find

EVERY: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpm": ("ddpm", {}),
    "ddpm-large": ("ddpm", {"variance": "large"}),
    "ddim": ("ddim", {}),
    "ddim-half": ("ddim", {"eta": 0.5}),
    "dpm-solver": ("dpm-solver", {}),
    "dpm-solver-sde": ("dpm-solver", {"stochastic": True}),
    "unipc": ("unipc", {"order": 3}),
    "unipc-2": ("unipc", {"order": 2}),
    "unipc-2-predictor": ("unipc", {"order": 2, "corrector": False}),
    "unipc-1": ("unipc", {"order": 1}),
    "unipc-1-predictor": ("unipc", {"order": 1, "corrector": False}),
    "edm": ("edm", {}),
    "edm-churned": ("edm", {"churn": 10.0, "churn_noise": 1.0}),
    "euler": ("euler", {}),
    "midpoint": ("midpoint", {}),
    "heun": ("heun", {}),
    "euler-maruyama": ("euler-maruyama", {}),
    "reverse-diffusion": ("predictor-corrector", {"corrections": 0}),
    "ancestral": ("predictor-corrector", {"corrections": 0, "predictor": "ancestral"}),
    "corrected": ("predictor-corrector", {}),
    "corrected-sde": ("predictor-corrector", {"predictor": "euler-maruyama"}),
    "corrected-twice": ("predictor-corrector", {"predictor": "ancestral", "corrections": 2}),
}
"""Name of a case -> name of the sampler and its settings; dopri5 has tests of its own."""

LEVELS = (
    "ddim", "dpm-solver", "unipc-2", "unipc-2-predictor", "unipc-1", "unipc-1-predictor", "edm",
)  # fmt: skip
TIMED = ("euler", "midpoint", "heun")
"""Samplers of the ODE that know a path by its levels alone, and by its rates as well."""

ORDER = {
    "unipc-2": 3, "unipc-2-predictor": 2, "unipc-1": 2, "unipc-1-predictor": 1,
    "ddim": 1, "euler": 1, "dpm-solver": 2, "edm": 2, "midpoint": 2, "heun": 2,
    "ddpm": 1, "ddpm-large": 1, "ddim-half": 1, "dpm-solver-sde": 2, "edm-churned": 2,
    "euler-maruyama": 1, "reverse-diffusion": 1, "ancestral": 1,
}  # fmt: skip
"""How fast the error of what they draw falls with the step; not of Langevin dynamics."""


def settings_of(case: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    """Name of the sampler of `case`, and its settings with `changes`."""
    sampler, settings = EVERY[case]
    return sampler, {**settings, **changes}


def states(
    case: str, denoiser: Denoiser, noise: StreamNoise, shape: tuple[int, ...], **changes: Any
) -> list[Tensor]:
    """x after every step, [steps] tensors [B, *shape]."""
    sampler, settings = settings_of(case, **changes)
    return [step.x for step in find(sampler)(denoiser, noise, shape, **settings)]


def law(case: str, denoiser: Denoiser, size: int, steps: int, **changes: Any) -> tuple[Tensor, ...]:
    """Mean [size] and covariance [size, size] of what a sampler draws, exactly.

    Of affine denoisers, whose samples are affine in the noise; it has no error of sampling.
    """
    sampler, settings = settings_of(case, steps=steps, **changes)
    noise = UnitNoise(1 + steps, size)
    *_, last = find(sampler)(denoiser, noise, (1, 1, size), **settings)
    x = last.x.flatten(1)
    coefficients = x[1:] - x[0]
    return x[0], coefficients.T @ coefficients


def gaussian_flow(
    mean: Tensor,
    covariance: Tensor,
    x: Tensor,
    start: tuple[float, float],
    end: tuple[float, float],
) -> Tensor:
    """Where the ODE takes x [B, D] from one (alpha, sigma) to another, for Gaussian data.

    Along each axis of the covariance x stays as many standard deviations from the mean as it was.
    """
    (alpha, sigma), (alpha_end, sigma_end) = start, end
    variances, axes = torch.linalg.eigh(covariance)
    growth = (alpha_end**2 * variances + sigma_end**2) / (alpha**2 * variances + sigma**2)
    deviation: Tensor = ((x - alpha * mean) @ axes * growth.sqrt()) @ axes.T
    return alpha_end * mean + deviation
