"""The layers of the package (docs/design.md): a file imports from its own package or from below.

Packages of one layer stand side by side and do not import each other.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "genlab"
LAYERS = [
    {"__main__"},
    {"app"},
    {"workflow"},
    {"report"},
    {"tracking"},
    {"results"},
    # Below this line is the library: it knows no folder of results.
    {"course"},
    {"api"},
    {"evaluation"},
    {"training", "sampling"},
    {"models"},
    {"samplers"},
    {"processes"},
    {"nn"},
    {"data"},
    {"config"},
    {"io", "registry"},
    {"errors"},
    {"__init__"},  # whose functions load `api` when they are first used
]
HEIGHT = {name: -depth for depth, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def package_of(path: Path, root: Path) -> str:
    """The package or module right below `root` that the file at `path` belongs to."""
    return path.relative_to(root).parts[0].removesuffix(".py")


def imported_packages(path: Path) -> set[str]:
    """The packages that the file imports from, wherever in the file it does."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [node.module or ""]
            if node.module == "genlab":  # `from genlab import x`: a package, or a name in it
                members = {alias.name for alias in node.names}
                names = [f"genlab.{n}" if n in HEIGHT else "genlab" for n in members]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "genlab":
                packages.add(rest.partition(".")[0] or "__init__")
    return packages


def problems(path: Path, root: Path) -> list[str]:
    """What is wrong with the imports of the file at `path`; empty if nothing is."""
    own = package_of(path, root)
    if own not in HEIGHT:
        return [f"{own} belongs to no layer"]
    wrong = []
    for other in sorted(imported_packages(path) - {own}):
        if other not in HEIGHT:
            wrong.append(f"{other} belongs to no layer")
        elif HEIGHT[other] > HEIGHT[own]:
            wrong.append(f"{own} imports from {other}, which is above it")
        elif HEIGHT[other] == HEIGHT[own]:
            wrong.append(f"{own} imports from {other}, which is beside it")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_from_its_own_package_or_from_below(path: Path) -> None:
    assert problems(path, PACKAGE) == []


def test_every_layer_exists() -> None:
    assert {package_of(path, PACKAGE) for path in FILES} == set(HEIGHT) - {"__init__"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config/a.py", "import genlab.data.idx", "config imports from data"),
        ("nn/a.py", "def f():\n    from genlab.models import base", "nn imports from models"),
        ("data/a.py", "from genlab import report", "data imports from report"),
        ("models/a.py", "from genlab.results import layout", "models imports from results"),
        ("training/a.py", "import genlab.tracking", "training imports from tracking"),
        ("sampling/a.py", "import genlab.training.log", "sampling imports from training"),
        ("tools/a.py", "import os", "tools belongs to no layer"),
        ("models/a.py", "import genlab.helpers", "helpers belongs to no layer"),
    ],
)
def test_the_check_reports_a_wrong_import(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    path.write_text(text)
    (problem,) = problems(path, tmp_path)
    assert problem.startswith(message)
