"""Arrays of pixels as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.data.files import replacing

GRID = 64  # images in a grid of samples


def tile(images: NDArray[np.uint8], columns: int, gap: int = 1) -> NDArray[np.uint8]:
    """Images [N, C, H, W] in rows of `columns`, as one picture [H', W', C] on a grey ground."""
    n, c, h, w = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, c), 128, dtype=np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        top, left = gap + y * (h + gap), gap + x * (w + gap)
        sheet[top : top + h, left : left + w] = image.transpose(1, 2, 0)
    return sheet


def save_grid(path: Path, images: NDArray[np.uint8], columns: int, side: int = 56) -> None:
    """Write uint8 images [N, C, H, W] as a PNG sheet, each enlarged to about `side` pixels."""
    sheet = tile(images, columns)
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet)
    zoom = max(1, round(side / images.shape[2]))
    picture = picture.resize(
        (picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST
    )
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")
