"""Films as GIF files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlab.data.films import FRAME_MILLISECONDS, save_film


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_shows_every_frame_for_ever(channels: int, tmp_path: Path) -> None:
    """Two pictures side by side, one growing brighter and one darker."""
    levels = np.linspace(0, 255, 6).astype(np.uint8)
    rows = np.stack([levels, levels[::-1]])[:, :, None, None, None]
    rows = np.broadcast_to(rows, (2, 6, channels, 8, 8))
    path = tmp_path / "film.gif"
    save_film(path, rows)
    film = Image.open(path)
    assert film.format == "GIF"
    assert film.size == ((2 * 9 + 1) * 7, (8 + 2) * 7)  # a line between, enlarged 56 / 8 times
    assert film.n_frames == 6  # type: ignore[attr-defined]
    assert film.info["loop"] == 0
    for i in range(6):
        film.seek(i)
        assert film.info["duration"] == FRAME_MILLISECONDS
        shown = np.asarray(film.convert("L"))[35, [32, 95]].astype(int)
        # Rounded down to a multiple of 8, to which its upper bits are added.
        assert np.abs(shown - [levels[i], levels[5 - i]]).max() <= 8
    before = path.read_bytes()
    save_film(path, rows)
    assert path.read_bytes() == before
