"""Random numbers of the ELBO study, addressed so that no result depends on the order of calls."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.data.randomness import address, generator

STUDY = "elbo_study"
"""First part of every address. Changing it changes every result."""


def stream(*parts: int | str) -> torch.Generator:
    """A generator on the CPU whose numbers depend on the address `parts` alone."""
    return torch.Generator().manual_seed(address(STUDY, *parts))


def normal(random: torch.Generator, like: Tensor, *shape: int) -> Tensor:
    """Standard normal numbers from a CPU generator, on the device of `like` and of its dtype."""
    return torch.randn(shape, generator=random, dtype=like.dtype).to(like.device)


def random_images(images: NDArray[np.uint8], split: str, n: int) -> Tensor:
    """uint8 [min(n, N), C, H, W]: the first n images of a fixed random order of a split."""
    subset = generator(STUDY, split).permutation(len(images))[:n]
    return torch.from_numpy(images[subset])
