"""Picture files to pixels: what is stored is what is seen, or else it is refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.data.decoding import load_picture, to_pixels
from genlab.errors import GenLabError


def stored(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """`picture` as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def pixels(content: bytes, **config: Any) -> NDArray[np.uint8]:
    """The decoded picture [C, H, W], converted where that is needed."""
    side = Image.open(io.BytesIO(content)).size[0]
    values = {"path": "own", "size": side, "convert": True} | config
    return to_pixels(load_picture(content), ImageFolderConfig(**values))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_grey_of_16_bits_is_scaled(mode: str, channels: int) -> None:
    """v / 257, rounded: 65535 is white, and 128.5 levels are a little less than half of it."""
    values = np.array([[0, 128, 129], [257, 32767, 32768], [65406, 65407, 65535]])
    kinds = {"I;16": ("PNG", np.uint16), "I": ("TIFF", np.int32)}
    kind, dtype = kinds[mode]
    content = stored(Image.fromarray(values.astype(dtype)), kind)
    assert Image.open(io.BytesIO(content)).mode == mode
    expected = [[0, 0, 1], [1, 127, 128], [254, 255, 255]]
    assert pixels(content, channels=channels).tolist() == [expected] * channels


@pytest.mark.parametrize("value", [-1, 65536, 2**31 - 1])
def test_grey_beyond_16_bits_is_refused(value: int) -> None:
    content = stored(Image.fromarray(np.array([[0, value], [0, 0]], np.int32)), "TIFF")
    with pytest.raises(GenLabError, match=f"grey values from .*{value}.*save it with 8 or 16 bits"):
        pixels(content, channels=1)


@pytest.mark.parametrize("channels", [1, 3])
def test_floating_point_is_refused(channels: int) -> None:
    content = stored(Image.fromarray(np.array([[0.1, 0.9], [0, 1]], np.float32)), "TIFF")
    with pytest.raises(GenLabError, match=r"colour mode F can't be converted .* no known range"):
        pixels(content, channels=channels)


def transparent(kind: str) -> bytes:
    """Two pixels to the left that hide the colour 200, and two of 100 to the right."""
    alpha = Image.fromarray(np.array([[0, 255], [0, 255]], np.uint8))
    grey = Image.fromarray(np.array([[200, 100], [200, 100]], np.uint8))
    if kind in ("LA", "RGBA"):
        picture = grey.convert(kind)
        picture.putalpha(alpha)
        return stored(picture)
    if kind == "P":
        picture = Image.fromarray(np.array([[0, 1], [0, 1]], np.uint8)).convert("P")
        picture.putpalette([200, 200, 200, 100, 100, 100])
        return stored(picture, transparency=0)
    if kind == "I;16":
        deep = np.array([[200, 100], [200, 100]], np.uint16) * 257
        return stored(Image.fromarray(deep), transparency=200 * 257)
    picture = grey.convert(kind)
    return stored(picture, transparency=200 if kind == "L" else (200, 200, 200))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("background", "value"), [("white", 255), ("black", 0)])
@pytest.mark.parametrize("kind", ["LA", "RGBA", "P", "L", "RGB", "I;16"])
def test_transparent_pixels_show_the_background(
    kind: str, background: str, value: int, channels: int
) -> None:
    """By a channel of its own, by the palette, or by one colour that is transparent."""
    shown = pixels(transparent(kind), channels=channels, background=background)
    assert shown.tolist() == [[[value, 100], [value, 100]]] * channels


def test_half_transparent_pixels_are_mixed() -> None:
    content = stored(Image.new("RGBA", (2, 2), (100, 0, 200, 51)))  # a fifth
    expected = [0.2 * c + 0.8 * 255 for c in (100, 0, 200)]
    assert pixels(content)[:, 0, 0].tolist() == expected


@pytest.mark.parametrize(("kind", "channels"), [("RGB", 3), ("L", 1)])
def test_transparency_is_converted_only_with_leave(kind: str, channels: int) -> None:
    message = f"colour mode {kind} with transparency, but .*set `convert: true`"
    with pytest.raises(GenLabError, match=message):
        pixels(transparent(kind), channels=channels, convert=False)


def test_a_palette_is_its_colours() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (2, 2, 3), np.uint8)
    picture = Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)).convert("P")
    picture.putpalette(colours.reshape(-1).tolist())
    assert np.array_equal(pixels(stored(picture)), colours.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_data_ask_for(orientation: int, kind: str) -> None:
    """The camera's pixels are stored such that, turned back, the same picture is seen."""
    corners = np.kron([[0, 80], [160, 240]], np.ones((16, 16))).astype(np.uint8)
    inverse = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: a.T, 6: np.rot90, 7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = stored(Image.fromarray(np.ascontiguousarray(inverse(corners))), kind, exif=exif)
    shown = pixels(content, channels=1)[0, 8::16, 8::16].astype(int)
    assert np.abs(shown - corners[8::16, 8::16]).max() <= 4  # JPEG's and WebP's loss


def test_the_first_frame_of_a_film_is_the_picture() -> None:
    frames = [Image.new("L", (2, 2), value) for value in (10, 20, 30)]
    content = stored(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixels(content, channels=1).tolist() == [[[10, 10], [10, 10]]]


def test_other_formats_are_not_opened() -> None:
    """A decoder that nobody needs is one that nobody has to trust."""
    with pytest.raises(GenLabError, match="not a readable picture"):
        load_picture(stored(Image.new("L", (2, 2)), "PPM"))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (40, 40, 200), (255, 255, 255)])
def test_cmyk_is_shown_in_its_colours(kind: str, colour: tuple[int, int, int]) -> None:
    """Without a colour profile: red = 255 - cyan - black. In JPEG its values are inverted."""
    content = stored(Image.new("RGB", (16, 16), colour).convert("CMYK"), kind)
    assert Image.open(io.BytesIO(content)).mode == "CMYK"
    shown = pixels(content)[:, 8, 8].astype(int)
    assert np.abs(shown - colour).max() <= (4 if kind == "JPEG" else 0)  # JPEG's loss


def png_of_16_bits(values: NDArray[np.uint16]) -> bytes:
    """A PNG file of values [H, W, C] with C = 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha)."""
    height, width, channels = values.shape
    kind = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_keep_their_high_bytes(channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (3, 3, channels)).astype(np.uint16)
    if channels != 3:
        values[..., -1] = 65535  # opaque
    colours = values[..., :3] if channels > 2 else values[..., :1].repeat(3, axis=2)
    assert np.array_equal(pixels(png_of_16_bits(values)), (colours >> 8).transpose(2, 0, 1))
