"""Small pictures of a row's samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genlab.io.arrays import read_array
from genlab.report.figures import data_uri, sheet_png
from genlab.results.layout import SampleFolder

PICTURES = 8
SIDE = 28
"""Pixels of the side of a small picture on the page, about."""
WIDTH = 272
"""Most pixels of a strip of pictures."""


@dataclass(frozen=True)
class Strip:
    """The first samples of a row, side by side."""

    picture: str
    """As a data URI."""
    width: int
    """Pixels on the page, a whole multiple of those of the file."""
    alt: str


def strip(row: SampleFolder, name: str) -> Strip:
    """Return the first samples of a row, as many as are about WIDTH pixels wide together."""
    images = read_array(row.samples)
    side = images.shape[-1]
    zoom = max(1, SIDE // side)
    count = max(2, min(PICTURES, len(images), WIDTH // (side * zoom + 1)))
    picture = data_uri(sheet_png(np.asarray(images[:count]), count, side))
    width = count * (side + 1) + 1  # with the lines between them
    return Strip(picture, zoom * width, f"the first {count} samples of {name}")
