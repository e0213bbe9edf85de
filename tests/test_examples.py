"""The examples run as a reader runs them, on a smaller budget, and stay short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
LINES = 60


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} >= {
        "ddpm",
        "vae",
        "glow",
        "latent_diffusion",
        "compare",
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_draws(path: Path, tmp_path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES
    # One thread: with more the result is the same picture, but the tests beside it wait.
    ended = subprocess.run(
        [sys.executable, path, "1024"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    pictures = sorted(tmp_path.glob("*.png"))
    assert pictures
    for picture in pictures:
        with Image.open(picture) as image:
            assert (
                len(image.getcolors(1 << 20) or ()) > 2
            )  # more than the ground and the lines between pictures
