"""What tests read of a Markdown document."""

from __future__ import annotations

import re
from pathlib import Path


def text(path: Path) -> str:
    """The content of a document."""
    return path.read_text(encoding="utf-8")


def targets(path: Path) -> list[Path]:
    """The files that the relative links of a document lead to."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(path))
    return [(path.parent / link).resolve() for link in links if "://" not in link]


def missing_targets(path: Path) -> list[Path]:
    """Those that are not there."""
    return [target for target in targets(path) if not target.exists()]
