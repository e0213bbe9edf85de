"""Figures as arrays: sheets of images and films, with the facts that explain them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from genlab.models.batches import to_uint8


class Figure(NamedTuple):
    """A sheet of images.

    Attributes:
        facts: what the rows show; JSON values.
        rows: uint8 [R, T, C, H, W], or a row [T, C, H, W] for each name.
        film: uint8 [R, T, C, H, W], T frames of R images; None where there is no film.
    """

    facts: dict[str, Any]
    rows: NDArray[np.uint8] | dict[str, NDArray[np.uint8]]
    film: NDArray[np.uint8] | None = None


def to_numpy(images: Tensor) -> NDArray[np.uint8]:
    """Images [N, C, H, W] on [0, 1] as uint8."""
    return to_uint8(images.float()).cpu().numpy()
