"""Picture files to pixels: what a viewer shows, as grey or RGB of one size."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from genlab.config.datasets import ImageFolderConfig
from genlab.errors import GenLabError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def load_picture(content: bytes) -> Image.Image:
    """The first frame of a picture, turned as its EXIF data ask for.

    Raises:
        GenLabError: it is damaged, or of no known format.
    """
    try:
        picture: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        picture.load()
        return ImageOps.exif_transpose(picture)
    except Exception as error:  # on damaged files Pillow raises nearly anything
        raise GenLabError(f"not a readable picture ({error or type(error).__name__})") from None


def _narrow(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits as 8 bits, v / 257 rounded.

    Raises:
        GenLabError: values beyond 16 bits.
    """
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise GenLabError(
            f"grey values from {values.min()} to {values.max()}, but at most 0 to 65535 can be "
            "converted; save it with 8 or 16 bits"
        )
    grey = Image.fromarray(np.round(values / 257).astype(np.uint8))
    if (transparent := picture.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _convert(
    picture: Image.Image, mode: Literal["L", "RGB"], background: Literal["white", "black"]
) -> Image.Image:
    """`picture` in another colour mode, its transparent pixels on a `background`.

    Raises:
        GenLabError: a mode whose values have no known range.
    """
    if picture.mode.startswith("I"):  # 16 or 32 bits
        picture = _narrow(picture)
    try:
        if picture.has_transparency_data:
            ground = Image.new("RGBA", picture.size, background)
            ground.alpha_composite(picture.convert("RGBA"))
            picture = ground.convert("RGB")
        if picture.mode == "F":  # which Pillow would clip to 0 ... 255
            raise ValueError("floating-point values have no known range")
        return picture.convert(mode)
    except ValueError as error:
        raise GenLabError(
            f"colour mode {picture.mode} can't be converted to {mode} ({error}); save it as grey "
            "or RGB"
        ) from None


def to_pixels(picture: Image.Image, config: ImageFolderConfig) -> NDArray[np.uint8]:
    """`picture` as uint8 [C, H, W] of the shape that the config asks for.

    Raises:
        GenLabError: it would have to be converted or scaled, which the config doesn't allow.
    """
    mode: Literal["L", "RGB"] = "RGB" if config.channels == 3 else "L"
    side = config.size
    if picture.mode != mode or picture.has_transparency_data:
        if not config.convert:
            name = picture.mode
            if picture.has_transparency_data:
                name += " with transparency"
            raise GenLabError(
                f"colour mode {name}, but channels: {config.channels} means {mode}; "
                "set `convert: true` to convert such pictures"
            )
        picture = _convert(picture, mode, config.background)
    if picture.size != (side, side):
        if not config.resize:
            raise GenLabError(
                f"{picture.size[0]}x{picture.size[1]} pixels, but size: {side} asks for "
                f"{side}x{side}; set `resize: true` to scale and crop such pictures"
            )
        picture = ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[None] if config.channels == 1 else pixels.transpose(2, 0, 1)
