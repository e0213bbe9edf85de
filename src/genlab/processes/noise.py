"""The noise that samples start from, addressed by sample.

Noise of sample i is a function of (seed, i) alone. So samples do not depend on their batch, on the
number of devices, or on the order of batches.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from genlab.data.randomness import generator


class SampleNoise:
    """Standard normal noise for the samples `indices`, each from its own random stream.

    Drawn on the CPU, so that every device gets the same numbers.
    """

    def __init__(
        self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu"
    ) -> None:
        self.indices, self.device = indices, device
        self.streams = [generator(seed, "sample", i) for i in indices]

    def __len__(self) -> int:
        return len(self.streams)

    def normal(self, *shape: int) -> Tensor:
        """The next float32 N(0, 1) of every sample, [len(self), *shape]."""
        draws = [stream.standard_normal(shape, dtype=np.float32) for stream in self.streams]
        return torch.from_numpy(np.stack(draws)).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """The next float32 U[0, 1) of every sample, [len(self), *shape]."""
        draws = [stream.random(shape, dtype=np.float32) for stream in self.streams]
        return torch.from_numpy(np.stack(draws)).to(self.device)


class GivenNoise(SampleNoise):
    """Given noise instead of random noise, for deterministic samplers to start from.

    Args:
        z: [B, ...], the noise of each sample.
    """

    def __init__(self, z: Tensor) -> None:
        self.z, self.device = z, z.device

    def __len__(self) -> int:
        return len(self.z)

    def normal(self, *shape: int) -> Tensor:
        """The noise itself, [len(self), *shape]."""
        return self.z.reshape(len(self.z), *shape)
