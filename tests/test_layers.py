"""The house of DESIGN.md: a file imports from its own floor or from below, never from above.

The floors, from the top; packages that stand side by side share a line.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "genlab"
FLOORS = [
    {"app", "__main__"},
    {"workflow"},
    {"report"},
    {"api"},
    {"evaluation"},
    {"training", "sampling"},
    {"tracking"},
    {"models"},
    {"samplers", "processes"},
    {"nn"},
    {"data"},
    {"results"},
    {"config"},
    {"io"},
    {"registry"},
    {"errors", "__init__"},
]
HEIGHT = {name: -depth for depth, names in enumerate(FLOORS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def room(path: Path, package: Path) -> str:
    """The folder or file right below the package that `path` belongs to."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The rooms that the file imports from, wherever in the file it does."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [node.module or ""]
            if node.module == "genlab":  # `from genlab import x`: a room, or something of __init__
                rooms_or_names = {alias.name for alias in node.names}
                names = [f"genlab.{n}" if n in HEIGHT else "genlab" for n in rooms_or_names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "genlab":
                rooms.add(rest.partition(".")[0] or "__init__")
    return rooms


def climbs(path: Path, package: Path) -> list[str]:
    """What is wrong with the imports of the file at `path`; empty if nothing."""
    here = room(path, package)
    if here not in HEIGHT:
        return [f"{here} stands on no floor"]
    wrong = []
    for there in sorted(imported(path)):
        if there not in HEIGHT:
            wrong.append(f"{there} stands on no floor")
        elif HEIGHT[there] > HEIGHT[here]:
            wrong.append(f"{here} imports from {there}, which stands above it")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_from_its_own_floor_or_below(path: Path) -> None:
    assert climbs(path, PACKAGE) == []


def test_every_floor_is_there() -> None:
    assert {room(path, PACKAGE) for path in FILES} == set(HEIGHT)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("config/a.py", "import genlab.data.idx", "config imports from data"),
        ("nn/a.py", "def f():\n    from genlab.models import base", "nn imports from models"),
        ("data/a.py", "from genlab import report", "data imports from report"),
        ("tools/a.py", "import os", "tools stands on no floor"),
        ("models/a.py", "import genlab.helpers", "helpers stands on no floor"),
    ],
)
def test_a_file_that_climbs_is_found(name: str, text: str, found: str, tmp_path: Path) -> None:
    """The check itself: each kind of mistake, put into a small house, is reported."""
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text)
    (problem,) = climbs(path, tmp_path)
    assert problem.startswith(found)
