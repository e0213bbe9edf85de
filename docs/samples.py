"""Joins the default study's grids into the picture that the site's home shows.

python docs/samples.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from genlab.config.evaluators import CALIBRATION
from genlab.results.layout import StudyFolder

STUDY = StudyFolder(Path("results/default"))
SHOWN = {
    CALIBRATION: "real",
    "vae-bernoulli": "prior",
    "vqvae-prior": "prior",
    "glow": "prior",
    "ddpm": "ddpm-50",
    "flow": "sde-dpm-12",
    "dalle": "tokens-w2",
    "ldm": "dpm-10-w2",
}
COLUMNS = 4
SIDE, GAP = 290, 8  # pixels of a grid, and between two


def main() -> None:
    """Write docs/images/samples.png."""
    grids = [STUDY.run("digits", model, 0).samples(row).grid for model, row in SHOWN.items()]
    rows = -(-len(grids) // COLUMNS)
    size = (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP)
    sheet = Image.new("L", size, color=255)
    for i, grid in enumerate(grids):
        row, column = divmod(i, COLUMNS)
        picture = Image.open(grid).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(picture, (column * (SIDE + GAP), row * (SIDE + GAP)))
    sheet.save("docs/images/samples.png", optimize=True)


if __name__ == "__main__":
    main()
