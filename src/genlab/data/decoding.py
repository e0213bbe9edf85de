"""Picture files to pixels: grey or RGB images of one size, as a viewer shows them."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from genlab.config.picture_names import PictureError
from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.errors import GenLabError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def load_picture(content: bytes) -> Image.Image:
    """Decode the first frame of a picture file, rotated by its EXIF orientation.

    Raises:
        PictureError: the file is damaged, or not in one of FORMATS.
    """
    try:
        picture: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        picture.load()
        return ImageOps.exif_transpose(picture)
    except Exception as error:  # Pillow raises many types of errors on damaged files
        raise PictureError(f"not a readable picture ({error or type(error).__name__})") from None


def _narrow(picture: Image.Image) -> Image.Image:
    """Convert 16-bit grey to 8 bits, round(v / 257).

    Raises:
        PictureError: a value lies outside 16 bits.
    """
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise PictureError(
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
    """Convert `picture` to another colour mode, transparent pixels over a `background`.

    Raises:
        PictureError: the values of the picture's mode have no known range.
    """
    if picture.mode.startswith("I"):  # 16 or 32 bits
        picture = _narrow(picture)
    try:
        if picture.has_transparency_data:
            canvas = Image.new("RGBA", picture.size, background)
            canvas.alpha_composite(picture.convert("RGBA"))
            picture = canvas.convert("RGB")
        if picture.mode == "F":  # Pillow would clip the values to 0 ... 255
            raise ValueError("floating-point values have no known range")
        return picture.convert(mode)
    except ValueError as error:
        raise PictureError(
            f"colour mode {picture.mode} can't be converted to {mode} ({error}); save it as grey "
            "or RGB"
        ) from None


def to_pixels(picture: Image.Image, config: ImageFolderConfig) -> NDArray[np.uint8]:
    """Return the pixels of `picture`, uint8 [C, H, W], in the shape that the config states.

    Raises:
        PictureError: its values have no known range.
        GenLabError: the picture needs a conversion or scaling that the config doesn't allow.
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
                f"{picture.size[0]}x{picture.size[1]} pixels, but size: {side} means "
                f"{side}x{side}; set `resize: true` to scale and crop such pictures"
            )
        picture = ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels[None] if config.channels == 1 else pixels.transpose(2, 0, 1)
