"""The script that sorts the tables of the pages, sorting.js."""

from __future__ import annotations

from pathlib import Path

SORTING = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
