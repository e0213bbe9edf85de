"""Arrays of a data set in memory, as a source returns them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genlab.data.randomness import generator


@dataclass(frozen=True)
class Split:
    """Images of a split with what belongs to them.

    Attributes:
        images: uint8 [N, C, H, W].
        labels: the class of each image, int64 [N].
        factors: int64 [N, K] if the factors are known; the config names the columns.
        captions: K sentences per image if the source writes its own captions.
        file: the .npy file that holds `images` and nothing else, if they are memory-mapped.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    factors: NDArray[np.int64] | None = None
    captions: list[list[str]] | None = None
    file: Path | None = None


@dataclass(frozen=True)
class Source:
    """A complete data set.

    Attributes:
        train, test: the training and the held-out split.
        classes: names of the classes 0, 1, 2 ...
        unseen: images with combinations of factors that neither `train` nor `test` has; None if
            the source has no such split.
        skipped: the reasons for which files were not read, by file name.
    """

    train: Split
    test: Split
    classes: list[str]
    unseen: Split | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    def splits(self) -> dict[str, Split]:
        """Return all splits by name; 'unseen' has no images if the source has no such split."""
        empty = Split(self.train.images[:0], self.train.labels[:0])
        return {"train": self.train, "test": self.test, "unseen": self.unseen or empty}


def rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each image the number of earlier images of its class, int64 [N]."""
    rank = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        mask = labels == label
        rank[mask] = np.arange(mask.sum())
    return rank


def hold_out(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    every: int,
    factors: NDArray[np.int64] | None = None,
) -> tuple[Split, Split]:
    """Split into (train, test), stratified: every `every`-th image of each class is held out."""
    held_out = rank_in_class(labels) % every == every - 1
    train, test = (
        Split(images[mask], labels[mask], None if factors is None else factors[mask])
        for mask in (~held_out, held_out)
    )
    return train, test


def fair_share(held_out: int, seed: int = 0) -> NDArray[np.int64]:
    """Return a random order of the held-out images, whose first n represent all of them.

    Their own order may be sorted by class.
    """
    return generator(seed, "calibration", "real").permutation(held_out)


def alternate_classes(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order of the images in which the classes take turns: 0 1 2 ... 0 1 2 ..., [N]."""
    return np.lexsort((labels, rank_in_class(labels)))
