"""Batches by address: batch k is a function of (seed, k) alone."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.data.randomness import generator
from genlab.models.base import Batch


class Batches:
    """Endless epochs over a data set, each image once an epoch, in an order of the epoch's own.

    Args:
        images: uint8 [N, C, H, W], on disk or in memory.
        labels: int64 [N].
        batch_size: images of a batch over all processes together.
        part: this process's share of every batch, as (rank, processes).
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        batch_size: int,
        seed: int,
        device: torch.device | str = "cpu",
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self.images, self.labels = images, labels
        self.batch_size, self.seed, self.device, self.part = batch_size, seed, device, part
        self._order = functools.lru_cache(maxsize=2)(self._shuffled)

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return generator(self.seed, "epoch", epoch).permutation(len(self.images))

    def indices(self, k: int) -> NDArray[np.int64]:
        """Which images batch k holds; a batch may reach into the next epoch."""
        seen = np.arange(k * self.batch_size, (k + 1) * self.batch_size)
        epochs, places = np.divmod(seen, len(self.images))
        return np.array([self._order(int(e))[p] for e, p in zip(epochs, places, strict=True)])

    def __getitem__(self, k: int) -> Batch:
        rank, processes = self.part
        which = self.indices(k)[rank::processes]
        batch = load(self.images, self.labels, which, self.device)
        return batch._replace(indices=torch.from_numpy(which).to(self.device))


def load(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    which: NDArray[np.int64] | slice,
    device: torch.device | str,
) -> Batch:
    """The images and labels `which`, as floats on [0, 1] on `device`."""
    pixels = torch.from_numpy(np.array(images[which])).to(device)
    return Batch(to_float(pixels), torch.from_numpy(np.array(labels[which])).to(device))


def to_float(pixels: Tensor) -> Tensor:
    """uint8 0..255 -> float32 on [0, 1]."""
    return pixels.float() / 255


def to_uint8(images: Tensor) -> Tensor:
    """float on [0, 1] -> uint8 0..255, rounded, not floored; outside values are clipped."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def flip(batch: Batch) -> Batch:
    """Mirror every image with probability one half."""
    mirrored = torch.rand(len(batch.images), device=batch.images.device) < 0.5
    images = torch.where(mirrored[:, None, None, None], batch.images.flip(-1), batch.images)
    return batch._replace(images=images, indices=None)
