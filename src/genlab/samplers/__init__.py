"""Samplers: from noise to image along any Gaussian path. One file each, found by its name.

Each file has a function

    sample(denoiser, noise, shape, **settings) -> iterator over `Step`, one for every step

that knows the model only as a `Denoiser`. The last step's `x` is the sample. Every walk ends with a
step to the clean image, which on all paths is the x_0 predicted before it: one last denoising.

    sampler              solves        order  evaluations  source
    ddim                 ODE, SDE      1      N            Song et al. 2021, arXiv:2010.02502
    dpm-solver           ODE, SDE      2      N            Lu et al. 2022, arXiv:2211.01095
    euler                ODE           1      N            textbook
    midpoint, heun       ODE           2      2 N - 1      textbook
    edm                  ODE, churned  2      2 N - 1      Karras et al. 2022, arXiv:2206.00364
    dopri5               ODE           5      adaptive     Dormand & Prince 1980
    ddpm                 ancestral     1      N            Ho et al. 2020, arXiv:2006.11239
    euler-maruyama       SDE           1      N            Song et al. 2021, arXiv:2011.13456
    predictor-corrector  SDE           1      N + M (N-1)  the same; M corrections a step
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.gaussian import Denoiser, Ends
from genlab.processes.noise import SampleNoise
from genlab.processes.paths import CLEAN


class Step(NamedTuple):
    """Where a sampler stands: x_t and the x_0 predicted from it, both [B, C, H, W] on [-1, 1]."""

    x: Tensor
    x0: Tensor


Sampler = Callable[..., Iterator[Step]]

Move = Callable[[Tensor, Ends, float, float], Tensor]
"""(x_t [B, C, H, W], the ends of the path through it, t, s) -> x_s, for t > s > 0."""

__all__ = [
    "Denoiser",
    "Ends",
    "Move",
    "SampleNoise",
    "Sampler",
    "Step",
    "find",
    "start",
    "times_of_signal",
    "walk",
]


def start(denoiser: Denoiser, noise: SampleNoise, shape: tuple[int, ...], t: float) -> Tensor:
    """Pure noise of the level t that a walk begins with, float64 [len(noise), *shape].

    In float64, since a walk adds up many small steps; the network decides on its own precision.
    """
    return denoiser.path.prior_std(t) * noise.normal(*shape).double()


def walk(
    denoiser: Denoiser, noise: SampleNoise, shape: tuple[int, ...], times: list[float], move: Move
) -> Iterator[Step]:
    """From pure noise along the falling `times`, one move each, and to the clean image."""
    x = start(denoiser, noise, shape, times[0])
    for t, s in pairwise([*times, CLEAN]):
        found = denoiser(x, t)
        x = found.x0 if s == CLEAN else move(x, found, t, s)
        yield Step(x, found.x0)


def times_of_signal(denoiser: Denoiser, steps: int, spacing: Spacing) -> list[float]:
    """The times of a sampler that divides by alpha: some of the image is left at the first one.

    Where nothing is left, sigma / alpha and the drift of the SDE are infinite. So the walk begins
    no further than the path's largest ratio, or than twice the ratio of the second time.

    Raises:
        ValueError: as `Denoiser.times`.
    """
    first, *later = denoiser.times(steps, spacing)
    alpha, sigma = denoiser.level(later[0] if later else CLEAN)
    ratio = max(denoiser.path.ratios[1], 2 * sigma / alpha)
    furthest = float(denoiser.path.time_of(torch.tensor(ratio, dtype=torch.float64)))
    return [min(first, furthest), *later]


def find(name: str) -> Sampler:
    """The function `sample` in `genlab.samplers.NAME`, with _ for -."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    sampler: Sampler = module.sample
    return sampler
