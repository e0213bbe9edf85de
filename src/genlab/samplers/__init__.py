"""Samplers: from noise to image along any Gaussian path. One file each, found by its name.

Each file has a function

    sample(denoiser, noise, shape, **settings) -> iterator over `Step`, one for every step

that knows the model only as a `Denoiser`. The last step's `x` is the sample. Settings and facts of
a sampler are declared in the file of the same name in `genlab.config.samplers`. All but the
adaptive one share `sampling_loop` (`genlab.processes.gaussian`) and differ in how they move from
x_t to x_s.

    sampler              solves        order  evaluations  source
    ddim                 ODE, SDE      1      N            Song et al. 2021, arXiv:2010.02502
    dpm-solver           ODE, SDE      2      N            Lu et al. 2022, arXiv:2211.01095
    unipc                ODE           1 to 4 N            Zhao et al. 2023, arXiv:2302.04867
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

from genlab.processes.gaussian import (
    Denoiser,
    Move,
    Prediction,
    Step,
    log_snr,
    sampling_loop,
    start,
    times_with_signal,
)
from genlab.processes.noise import SampleNoise

Sampler = Callable[..., Iterator[Step]]

__all__ = [
    "Denoiser",
    "Move",
    "Prediction",
    "SampleNoise",
    "Sampler",
    "Step",
    "find",
    "log_snr",
    "sampling_loop",
    "start",
    "times_with_signal",
]


def find(name: str) -> Sampler:
    """Return the function `sample` of `genlab.samplers.NAME`, with _ for -."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    sampler: Sampler = module.sample
    return sampler
