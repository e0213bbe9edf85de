"""Small pictures of samples, stored without enlargement; the page enlarges them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlab.data.pictures import zoom
from genlab.io.arrays import read_array
from genlab.report.figures import data_uri, sheet_png
from genlab.results.layout import SampleFolder

PICTURES = 8
"""Largest number of pictures in a strip."""
SIDE = 28
"""Approximate pixels of the side of a small picture on the page."""
WIDTH = 272
"""Largest width of a strip of more than two pictures, in pixels, about."""


@dataclass(frozen=True)
class Picture:
    """Some samples, side by side."""

    uri: str
    """Its file as a data URI."""
    width: int
    """Pixels on the page, a whole multiple of those of the file."""
    alt: str
    """Description for those who do not see it."""


def picture(images: NDArray[np.uint8], columns: int, alt: str) -> Picture:
    """Return a picture of images [N, C, H, W] in rows of `columns`."""
    side = images.shape[-1]
    width = columns * (side + 1) + 1  # with the lines between them
    return Picture(data_uri(sheet_png(images, columns, side)), zoom(side, SIDE) * width, alt)


def strip(row: SampleFolder, name: str) -> Picture:
    """Return a strip of a row's first samples, as many as fit into about WIDTH pixels."""
    images = read_array(row.samples)
    side = images.shape[-1]
    count = max(2, min(PICTURES, len(images), WIDTH // (side * zoom(side, SIDE) + 1)))
    return picture(np.asarray(images[:count]), count, f"the first {count} samples of {name}")
