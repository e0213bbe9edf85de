"""The style of the report's figures, and pictures as the page embeds them."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")


def palette(n: int) -> list[Any]:
    """Return `n` colours that differ: safe for colour-blind readers up to ten."""
    return list(sns.color_palette("colorblind" if n <= 10 else "husl", n))


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def data_uri(picture: bytes, kind: str = "png") -> str:
    """Return a picture file as a data URI, so that the page needs no other file."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()
