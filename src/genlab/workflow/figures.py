"""Figures as files."""

from __future__ import annotations

from pathlib import Path

from genlab.data.films import save_film
from genlab.data.pictures import save_grid, save_rows
from genlab.sampling.figures import Figure


def save_figures(folder: Path, figures: dict[str, Figure], film_side: int = 56) -> list[Path]:
    """Write each sheet as NAME.png, and its film, if it has one, as NAME.gif.

    Args:
        film_side: about how many pixels high an image of a film is shown.

    Returns:
        The paths of the sheets, then those of the films.
    """
    sheets, films = [], []
    for name, (_, rows, film) in figures.items():
        sheets.append(folder / f"{name}.png")
        if isinstance(rows, dict):
            save_rows(sheets[-1], rows)
        else:
            save_grid(sheets[-1], rows.reshape(-1, *rows.shape[2:]), columns=rows.shape[1])
        if film is not None:
            films.append(folder / f"{name}.gif")
            save_film(films[-1], film, film_side)
    return sheets + films
