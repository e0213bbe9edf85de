"""Randomness by address: what is drawn depends on where it stands, not on what was drawn before.

Noise of sample i is a function of (seed, i) alone, and randomness of training step k one of
(seed, k). Samples therefore don't depend on the batch they were drawn in, and a training that
resumes at step k needs no state of a generator.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor


def address(*parts: int | str) -> int:
    """A 63-bit number that depends on all `parts` and their order; equal parts, equal number."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


class SampleNoise:
    """Standard normal noise for the samples `indices`; each has a stream of its own.

    Drawn on the CPU with the counter-based generator Philox (Salmon et al. 2011), so that the
    same numbers come on every device.
    """

    def __init__(
        self, seed: int, indices: range, device: torch.device | str = "cpu", what: str = "sample"
    ) -> None:
        self.device = device
        self.streams = [
            np.random.Generator(np.random.Philox(key=address(seed, what, i))) for i in indices
        ]

    def __len__(self) -> int:
        return len(self.streams)

    def normal(self, *shape: int) -> Tensor:
        """The next float32 N(0, 1) of every sample, [len(self), *shape]."""
        draws = [stream.standard_normal(shape, dtype=np.float32) for stream in self.streams]
        return torch.from_numpy(np.stack(draws)).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """The next float32 U(0, 1) of every sample, [len(self), *shape]."""
        draws = [stream.random(shape, dtype=np.float32) for stream in self.streams]
        return torch.from_numpy(np.stack(draws)).to(self.device)
