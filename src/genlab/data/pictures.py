"""Arrays of pixels as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from genlab.io.files import replacing

GRID = 64  # images in a grid of samples
SIDE = 56
"""Pixels that the side of an image is enlarged to, about."""


def zoom(side: int, target: int) -> int:
    """Return the whole number by which an image is enlarged to about `target` pixels."""
    return max(1, round(target / side))


def tile(images: NDArray[np.uint8], columns: int, gap: int = 1) -> NDArray[np.uint8]:
    """Arrange images [N, C, H, W] in rows of `columns` on grey, one picture [H', W', C]."""
    n, c, h, w = images.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) + gap, columns * (w + gap) + gap, c), 128, dtype=np.uint8)
    for i, image in enumerate(images):
        y, x = divmod(i, columns)
        top, left = gap + y * (h + gap), gap + x * (w + gap)
        sheet[top : top + h, left : left + w] = image.transpose(1, 2, 0)
    return sheet


def sheet(images: NDArray[np.uint8], columns: int, side: int, gap: int = 1) -> Image.Image:
    """Return the picture of `tile`, with each image enlarged to about `side` pixels."""
    tiled = tile(images, columns, gap)
    picture = Image.fromarray(tiled[..., 0] if tiled.shape[2] == 1 else tiled)
    times = zoom(images.shape[2], side)
    size = (picture.width * times, picture.height * times)
    return picture.resize(size, Image.Resampling.NEAREST)


def save_grid(
    path: Path, images: NDArray[np.uint8], columns: int, side: int = SIDE, gap: int = 1
) -> None:
    """Write uint8 images [N, C, H, W] as a PNG sheet, each enlarged to about `side` pixels."""
    with replacing(path) as temporary:
        sheet(images, columns, side, gap).save(temporary, format="PNG")


def named_rows(rows: dict[str, NDArray[np.uint8]], side: int = SIDE) -> Image.Image:
    """Return a picture with a line per row: its name, then its images [N, C, H, W]."""
    images = sheet(np.concatenate(list(rows.values())), len(next(iter(rows.values()))), side)
    font = ImageFont.load_default(15)
    measure = ImageDraw.Draw(images)
    margin = 16 + max(int(measure.textbbox((0, 0), name, font=font)[2]) for name in rows)
    picture = Image.new(images.mode, (margin + images.width, images.height), "white")
    picture.paste(images, (margin, 0))
    drawing = ImageDraw.Draw(picture)
    for i, name in enumerate(rows):
        middle = (i + 0.5) * images.height / len(rows)
        drawing.text((margin - 8, middle), name, "black", font, anchor="rm", align="right")
    return picture


def save_rows(path: Path, rows: dict[str, NDArray[np.uint8]], side: int = SIDE) -> None:
    """Write the picture of `named_rows` as a PNG file."""
    with replacing(path) as temporary:
        named_rows(rows, side).save(temporary, format="PNG")
