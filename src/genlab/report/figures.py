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
import seaborn as sns
from matplotlib.figure import Figure

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
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)  # HTML knows them
    text = re.sub(r'(<svg [^>]*?)width="\S+" height="\S+"|height="\S+"', r"\1", text, count=1)
    for gid, title in titles.items():
        text = text.replace(f'<g id="{gid}">', f'<g id="{gid}"><title>{escape(title)}</title>')
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = text.replace(INK, "var(--ink)").replace(LINE, "var(--line)")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def data_uri(picture: bytes, kind: str = "png") -> str:
    """Return a picture file as a data URI, so that the page needs no other file."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()
