"""Batches by address: batch k is a function of (seed, k) alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.families import FamilyConfig
from genlab.data.randomness import generator
from genlab.io.arrays import read_array
from genlab.models.base import Batch
from genlab.results.layout import DataFolder

AT_ONCE = 500  # images, where nothing else is said


class Table(NamedTuple):
    """A split of a data set, in memory or on disk.

    Attributes:
        images, labels: uint8 [N, C, H, W] and int64 [N].
        captions, tokens: int64 [N, K], which texts are said of each image, and int64 [T, L], the
            tokens of these; for a family that reads captions.
        factors: int64 [N, F], for a family that knows factors.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    captions: NDArray[np.int64] | None = None
    tokens: NDArray[np.int64] | None = None
    factors: NDArray[np.int64] | None = None


def read_table(data: DataFolder, split: str, family: FamilyConfig) -> Table:
    """A split of prepared data, as far as a model of `family` is shown it.

    One that knows factors is trained on the first half of the unseen split as well: who tells what
    a picture shows must know all combinations alike, or it would take a new one for a known one.
    """
    table = Table(read_array(data.images(split)), read_array(data.labels(split)))
    if family.reads_captions:
        captions, tokens = read_array(data.captions(split)), read_array(data.tokens)
        table = table._replace(captions=captions, tokens=tokens)
    if family.knows_factors:
        table = table._replace(factors=read_factors(data, split))
    half = len(read_array(data.labels("unseen"))) // 2
    if family.knows_factors and split == "train" and half:
        more = read_table(data, "unseen", family)
        table = Table(
            np.concatenate([table.images, more.images[:half]]),
            np.concatenate([table.labels, more.labels[:half]]),
            factors=np.concatenate(
                [read_factors(data, part)[:end] for part, end in ((split, None), ("unseen", half))]
            ),
        )
    return table


def read_factors(data: DataFolder, split: str) -> NDArray[np.int64]:
    """The factors of a split, int64 [N, F]; its labels, [N, 1], where no factors are known."""
    factors = read_array(data.factors(split))
    return factors if factors.shape[1] else read_array(data.labels(split))[:, None]


class Batches:
    """Endless epochs over a data set, each image once an epoch, in an order of the epoch's own.

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

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        return generator(self.seed, "epoch", epoch).permutation(len(self.table.images))

    def indices(self, k: int) -> NDArray[np.int64]:
        """Which images batch k holds; a batch may reach into the next epoch."""
        seen = np.arange(k * self.batch_size, (k + 1) * self.batch_size)
        epochs, places = np.divmod(seen, len(self.table.images))
        return np.array([self._order(int(e))[p] for e, p in zip(epochs, places, strict=True)])

    def __getitem__(self, k: int) -> Batch:
        rank, processes = self.part
        which = self.indices(k)[rank::processes]
        # Which of its captions an image is shown with; drawn for all processes, so that it is one.
        said = generator(self.seed, "caption", k).integers(2**32, size=self.batch_size)
        batch = load(self.table, which, self.device, said[rank::processes])
        return batch._replace(indices=torch.from_numpy(which).to(self.device))


def load(
    table: Table,
    which: NDArray[np.int64],
    device: torch.device | str,
    said: NDArray[np.int64] | None = None,
) -> Batch:
    """The images `which` [B] as floats on [0, 1], and what belongs to them, on `device`.

    Args:
        said: int64 [B], the numbers, modulo K, of the captions; None takes caption i of image i.
    """

    def there(array: NDArray[np.int64] | None) -> Tensor | None:
        return None if array is None else torch.from_numpy(np.array(array[which])).to(device)

    pixels = torch.from_numpy(np.array(table.images[which])).to(device)
    labels = torch.from_numpy(np.array(table.labels[which])).to(device)
    tokens = None
    if table.captions is not None and table.tokens is not None:
        one = (which if said is None else said) % table.captions.shape[1]
        texts = np.array(table.captions[which])[np.arange(len(which)), one]
        tokens = torch.from_numpy(np.array(table.tokens[texts])).to(device)
    return Batch(to_float(pixels), labels, tokens=tokens, factors=there(table.factors))


def in_parts(
    images: NDArray[np.uint8], device: torch.device | str, size: int = AT_ONCE
) -> Iterator[Tensor]:
    """uint8 images [N, C, H, W], on disk or in memory, as floats on [0, 1], so many at a time."""
    for start in range(0, len(images), size):
        yield to_float(torch.from_numpy(np.array(images[start : start + size])).to(device))


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
