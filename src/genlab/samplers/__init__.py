"""Samplers: from noise to image along any Gaussian path. One file each, found by its name.

Each file has a generator function

    sample(denoiser, noise, shape, **settings) -> yields Step after every step

that knows the model only as a `Denoiser`. The last step's `x` is the sample.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor

from genlab.processes.gaussian import Denoiser
from genlab.processes.noise import SampleNoise


class Step(NamedTuple):
    """Where a sampler stands: x_t and the x_0 predicted from it, both [B, C, H, W] on [-1, 1]."""

    x: Tensor
    x0: Tensor


Sampler = Callable[..., Iterator[Step]]

__all__ = ["Denoiser", "SampleNoise", "Sampler", "Step", "find"]


def find(name: str) -> Sampler:
    """The function `sample` in `genlab.samplers.NAME`."""
    module = importlib.import_module(f"{__name__}.{name}")
    sampler: Sampler = module.sample
    return sampler
