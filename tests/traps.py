"""A pickle that shows whether anybody unpickled it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class Trap:
    """Once unpickled, it creates the file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)
