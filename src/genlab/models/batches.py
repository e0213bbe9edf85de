"""Batches by address: batch k is a function of (seed, k) alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.data.randomness import generator
from genlab.io.arrays import read_ahead
from genlab.models.base import Batch

RESIDENT = 2**31
"""Largest size, in bytes, of the images that a training keeps in the memory of a GPU."""
AT_ONCE = 500  # images, unless the caller names another number


class Table(NamedTuple):
    """A split of a data set, in memory or on disk.

    Attributes:
        images, labels: uint8 [N, C, H, W] and int64 [N].
        captions: int64 [N, K], the numbers of each image's K captions; for a family that reads
            captions.
        tokens: int64 [T, L], the tokens of the T different captions.
        factors: int64 [N, F], for a family that is trained on known factors.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    captions: NDArray[np.int64] | None = None
    tokens: NDArray[np.int64] | None = None
    factors: NDArray[np.int64] | None = None


class ResidentTable(NamedTuple):
    """A `Table` in the memory of a GPU, as tensors."""

    images: Tensor
    labels: Tensor
    captions: Tensor | None
    tokens: Tensor | None
    factors: Tensor | None

    def rows(self, indices: Tensor, caption_indices: Tensor) -> Batch:
        """As `load`, of indices on the device: nothing is copied to it."""
        tokens = None
        if self.captions is not None and self.tokens is not None:
            columns = caption_indices % self.captions.shape[1]
            tokens = self.tokens[self.captions[indices, columns]]
        factors = None if self.factors is None else self.factors[indices]
        images = to_float(self.images[indices])
        return Batch(images, self.labels[indices], tokens=tokens, factors=factors)


def make_resident(table: Table, device: torch.device | str) -> ResidentTable | None:
    """Copy `table` to a GPU; None on the CPU, and where the images are larger than `RESIDENT`."""
    if torch.device(device).type == "cpu" or table.images.nbytes > RESIDENT:
        return None

    def copy(array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.array(array)).to(device)

    rest = (None if part is None else copy(part) for part in table[2:])
    return ResidentTable(copy(table.images), copy(table.labels), *rest)


class Batches:
    """Batches of endless epochs: each image once an epoch, in an order of that epoch.

    While a training step computes, the system reads the next batch of a memory-mapped table.

    Args:
        batch_size: images of a batch over all processes together.
        part: this process's share of every batch, as (rank, processes).
    """

    def __init__(
        self,
        table: Table,
        batch_size: int,
        seed: int,
        device: torch.device | str = "cpu",
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self.table = table
        self.batch_size, self.seed, self.device, self.part = batch_size, seed, device, part
        self._order = functools.lru_cache(maxsize=2)(self._shuffled)

    @functools.cached_property
    def _resident(self) -> ResidentTable | None:
        return make_resident(self.table, self.device)

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return generator(self.seed, "epoch", epoch).permutation(len(self.table.images))

    def indices(self, k: int) -> NDArray[np.int64]:
        """The numbers of the images in batch k, which may reach into the next epoch."""
        positions = np.arange(k * self.batch_size, (k + 1) * self.batch_size)
        epochs, places = np.divmod(positions, len(self.table.images))
        return np.array([self._order(int(e))[p] for e, p in zip(epochs, places, strict=True)])

    def __getitem__(self, k: int) -> Batch:
        rank, processes = self.part
        indices = self.indices(k)[rank::processes]
        # Drawn for the whole batch, so that they do not depend on the number of processes.
        caption_indices = generator(self.seed, "caption", k).integers(2**32, size=self.batch_size)
        captions = caption_indices[rank::processes]
        if self._resident is not None:  # both in one copy to the device
            numbers = torch.from_numpy(np.stack([indices, captions])).to(self.device)
            return self._resident.rows(*numbers)._replace(indices=numbers[0])
        batch = load(self.table, indices, self.device, captions)
        read_ahead(self.table.images, self.indices(k + 1)[rank::processes])
        return batch._replace(indices=torch.from_numpy(indices).to(self.device))


def load(
    table: Table,
    indices: NDArray[np.int64],
    device: torch.device | str,
    caption_indices: NDArray[np.int64] | None = None,
) -> Batch:
    """Load the images `indices` [B], as floats on [0, 1], and what belongs to them to `device`.

    Args:
        caption_indices: int64 [B], which of its K captions each image has, modulo K; None takes
            caption i for image i.
    """

    def on_device(array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.array(array)).to(device)

    pixels = torch.from_numpy(np.array(table.images[indices])).to(device)
    tokens = None
    if table.captions is not None and table.tokens is not None:
        columns = indices if caption_indices is None else caption_indices
        captions = np.array(table.captions[indices])
        texts = captions[np.arange(len(indices)), columns % captions.shape[1]]
        tokens = on_device(table.tokens[texts])
    factors = None if table.factors is None else on_device(table.factors[indices])
    return Batch(to_float(pixels), on_device(table.labels[indices]), tokens=tokens, factors=factors)


def in_parts(
    images: NDArray[np.uint8], device: torch.device | str, size: int = AT_ONCE
) -> Iterator[Tensor]:
    """Yield uint8 images [N, C, H, W] as floats on [0, 1], `size` at a time."""
    for start in range(0, len(images), size):
        yield to_float(torch.from_numpy(np.array(images[start : start + size])).to(device))


def to_float(pixels: Tensor) -> Tensor:
    """Convert uint8 0..255 to float32 on [0, 1]."""
    return pixels.float() / 255


def to_uint8(images: Tensor) -> Tensor:
    """Convert floats on [0, 1] to uint8, rounded, not floored; values outside are clipped."""
    return (images.clamp(0, 1) * 255).round().to(torch.uint8)


def flip(batch: Batch) -> Batch:
    """Mirror every image with probability one half."""
    mirrored = torch.rand(len(batch.images), device=batch.images.device) < 0.5
    images = torch.where(mirrored[:, None, None, None], batch.images.flip(-1), batch.images)
    return batch._replace(images=images, indices=None)
