"""What a source hands to `prepare`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] and labels int64 [N]; factors int64 [N, K] where they are known.

    `captions` are K sentences about each image, where the source makes its own.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    factors: NDArray[np.int64] | None = None
    captions: list[list[str]] | None = None


@dataclass(frozen=True)
class Source:
    """A data set as it was read: train and test split, and the names of the classes.

    `unseen` are images of combinations of factors that are kept out of training and test, where the
    source has such. What the columns of `Split.factors` mean is in the data set's config.
    """

    train: Split
    test: Split
    classes: list[str]
    unseen: Split | None = None

    def splits(self) -> dict[str, Split]:
        """Train, test and unseen, the last one without any image where there are none."""
        none = self.train.images[:0], self.train.labels[:0]
        return {"train": self.train, "test": self.test, "unseen": self.unseen or Split(*none)}


def rank_in_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of its class come before each image, [N]."""
    rank = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        of_class = labels == label
        rank[of_class] = np.arange(of_class.sum())
    return rank


def hold_out(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    every: int,
    factors: NDArray[np.int64] | None = None,
) -> tuple[Split, Split]:
    """Hold out every `every`-th image of each class, in their order: (train, test), stratified."""
    test = rank_in_class(labels) % every == every - 1
    train, held_out = (
        Split(images[part], labels[part], None if factors is None else factors[part])
        for part in (~test, test)
    )
    return train, held_out


def alternate_classes(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order of the images in which the classes take turns: 0 1 2 ... 0 1 2 ..., [N]."""
    return np.lexsort((labels, rank_in_class(labels)))
