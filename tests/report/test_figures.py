"""Pictures as the page embeds them."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from genlab.report.figures import data_uri


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_a_picture_keeps_every_pixel_in_the_smaller_format(mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    picture, file = Image.fromarray(pixels, "RGBA").convert(mode), BytesIO()
    picture.save(file, format="PNG")
    uri = data_uri(file.getvalue())
    embedded = Image.open(BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))
    assert embedded.format == "WEBP"
    assert np.array_equal(embedded.convert("RGBA"), picture.convert("RGBA"))
