"""The style of the report's figures, and pictures as the page embeds them."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from html import escape
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from PIL import Image

from genlab.data.pictures import sheet

MARKERS = "os^DvPX*<>dph"
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
"""Writes the numbers of a logarithmic axis without powers."""
LARGEST_WEBP = 16_383
"""Most pixels that a side of a WebP picture may have."""
INK, LINE = "#1d2733", "#d8dee5"
"""Colours of text and of grid lines: on the light page, and in drawings before `svg`."""

sns.set_theme(
    style="whitegrid",
    context="notebook",
    palette="colorblind",
    rc=dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    | {"axes.edgecolor": LINE, "grid.color": LINE},
)


def palette(n: int) -> list[Any]:
    """Return `n` colours that differ: safe for colour-blind readers up to ten."""
    return list(sns.color_palette("colorblind" if n <= 10 else "husl", n))


def mark(
    axis: Axes, x: float, y: float, colour: Any, marker: str, *, hollow: bool
) -> PathCollection:
    """Draw a point; the mark of a row that copies training images is hollow."""
    inside = "none" if hollow else [colour]
    return axis.scatter(x, y, s=38, marker=marker, facecolors=inside, edgecolors=[colour], zorder=2)


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG file; equal figures give equal bytes."""
    buffer = io.BytesIO()
    # A layout fits the figure already; to cut its margins, matplotlib would draw it twice.
    bbox = None if figure.get_layout_engine() else "tight"
    figure.savefig(buffer, format="png", dpi=110, bbox_inches=bbox, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def svg(figure: Figure, name: str, label: str, titles: Mapping[str, str]) -> str:
    """Return the figure as an SVG element in the colours of the page, light or dark.

    Args:
        name: starts all ids, which must differ on a page.
        label: describes the figure to readers who don't see it.
        titles: what an artist says under the mouse, by its `gid`.
    """
    buffer = io.StringIO()
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):  # text stays text
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    # HTML knows the namespaces, the page decides on the size, and nothing lies outside the axes.
    text = re.sub(r' (xmlns(:xlink)?|clip-path)="[^"]*"', "", text)
    head, rest = text.split(">", 1)
    text = re.sub(r' (width|height)="[^"]*"', "", head) + ">" + rest
    for gid, title in titles.items():
        text = text.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(title)}</title>')
    text = re.sub(r'(id="|href="#)', rf"\g<1>{name}-", text)
    text = text.replace(INK, "var(--ink)").replace(LINE, "var(--line)")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def sheet_png(images: NDArray[np.uint8], columns: int, side: int, gap: int = 1) -> bytes:
    """Return the PNG file of a sheet of images [N, C, H, W] (`genlab.data.pictures.sheet`)."""
    buffer = io.BytesIO()
    sheet(images, columns, side, gap).save(buffer, format="PNG")
    return buffer.getvalue()


def data_uri(picture: bytes, kind: str = "png") -> str:
    """Return a picture file as a data URI, so that the page needs no other file.

    A PNG file becomes lossless WebP, which takes less space, unless a side exceeds LARGEST_WEBP.
    """
    if kind == "png" and (webp := _webp(picture)):
        picture, kind = webp, "webp"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()


def _webp(png: bytes) -> bytes:
    """The pixels of a PNG file as lossless WebP; b"" where the picture is too large for that."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as image:
        if max(image.size) > LARGEST_WEBP:
            return b""
        transparent = "A" in image.mode or "transparency" in image.info
        pixels = image.convert("RGBA" if transparent else "RGB")
    pixels.save(buffer, format="WEBP", lossless=True, exact=True, quality=75, method=4)
    return buffer.getvalue()
