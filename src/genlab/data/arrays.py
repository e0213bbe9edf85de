"""What a source hands to `prepare`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, C, H, W] and labels int64 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """A data set as it was read: train and test split, and the names of the classes."""

    train: Split
    test: Split
    classes: list[str]


def hold_out(
    images: NDArray[np.uint8], labels: NDArray[np.int64], every: int
) -> tuple[Split, Split]:
    """Hold out every `every`-th image of each class, in their order: (train, test), stratified."""
    rank = np.zeros(len(labels), dtype=np.int64)  # how many of its class come before an image
    for label in np.unique(labels):
        of_class = labels == label
        rank[of_class] = np.arange(of_class.sum())
    test = rank % every == every - 1
    return Split(images[~test], labels[~test]), Split(images[test], labels[test])
