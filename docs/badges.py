"""Write the badges of the README from the project's metadata.

python docs/badges.py
"""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
BADGE = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img"
  aria-label="{name}: {value}">
  <rect width="{width}" height="20" rx="3" fill="#0b6aa2"/>
  <path d="M3 0h{left}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#414b57"/>
  <g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
    <text x="7" y="14" textLength="{name_length}">{name}</text>
    <text x="{value_at}" y="14" textLength="{value_length}">{value}</text>
  </g>
</svg>
"""
LETTER_WIDTH = 6.0
"""Approximate width of a letter in pixels"""


def badge(name: str, value: str) -> str:
    """The SVG file of a badge."""
    name_length, value_length = (round(LETTER_WIDTH * len(text)) for text in (name, value))
    return BADGE.format(
        name=name, value=value, name_length=name_length, value_length=value_length,
        left=name_length + 11, value_at=name_length + 21, width=name_length + value_length + 28,
    )  # fmt: skip


def badges() -> dict[Path, str]:
    """The contents of the badges' files, by path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: 3."
    versions = [one.removeprefix(prefix) for one in project["classifiers"] if prefix in one]
    values = {
        "python": " | ".join(f"3.{version}" for version in versions),
        "licence": project["license"],
        "version": project["version"],
    }
    return {
        ROOT / f"docs/images/badge-{name}.svg": badge(name, value) for name, value in values.items()
    }


if __name__ == "__main__":
    for path, content in badges().items():
        path.write_text(content, encoding="utf-8")
