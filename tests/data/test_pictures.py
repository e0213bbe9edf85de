"""Sheets of images whose rows have names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlab.data.pictures import save_rows, tile


@pytest.mark.parametrize("channels", [1, 3])
def test_named_rows_keep_their_pixels_and_stand_beside_their_names(
    channels: int, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, channels, 8, 8), dtype=np.uint8)
    path = tmp_path / "rows.png"
    save_rows(path, {"one": images[:3], "two\nlines": images[3:]})
    shown = np.asarray(Image.open(path)).reshape(19 * 7, -1, channels)
    sheet = tile(images, columns=3)  # [19, 28, C], enlarged 56 / 8 times
    assert (shown[::7, -28 * 7 :: 7] == sheet).all()
    margin = shown[:, : -28 * 7]
    for half in np.array_split(
        margin, 2
    ):  # a name each: dark letters on white, apart from the rest
        dark = (half < 128).all(axis=2)
        assert dark.any() and (half == 255).mean() > 0.5
        assert not dark[[0, -1]].any() and not dark[:, [0, -1]].any()


def test_the_margin_is_as_wide_as_the_longest_name(tmp_path: Path) -> None:
    images = np.zeros((1, 1, 8, 8), np.uint8)
    widths = []
    for name in ("i", "name", "a longer name", "a longer\nname"):
        save_rows(tmp_path / "rows.png", {"i": images, name + " ": images})
        widths.append(Image.open(tmp_path / "rows.png").width)
    assert widths[0] < widths[1] < widths[3] < widths[2]
