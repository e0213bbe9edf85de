"""Arrays of pixels as GIF files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genlab.data.pictures import tile
from genlab.io.files import replacing

FRAME_MILLISECONDS = 80


def save_film(path: Path, rows: NDArray[np.uint8], side: int = 56) -> None:
    """Write uint8 images [R, T, C, H, W] as a GIF of T frames, the R rows side by side.

    Each image is enlarged to about `side` pixels in height. Greys are rounded to 32 levels and
    colours to 64, which keeps the file small.
    """
    zoom = max(1, round(side / rows.shape[3]))
    frames = []
    for images in rows.swapaxes(0, 1):
        sheet = tile(images, columns=len(images))
        if sheet.shape[2] == 1:
            frame = Image.fromarray(sheet[..., 0] // 8 * 8 + sheet[..., 0] // 32)
        else:
            frame = Image.fromarray(sheet).quantize(64, dither=Image.Dither.NONE)
        size = (frame.width * zoom, frame.height * zoom)
        frames.append(frame.resize(size, Image.Resampling.NEAREST))
    with replacing(path) as temporary:
        frames[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=FRAME_MILLISECONDS,
            loop=0,
        )
