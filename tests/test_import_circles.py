"""No two modules import each other, directly or through others, not even inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"


def imports(tree: ast.AST) -> Iterator[str]:
    """Names of modules, or of objects in modules, that `tree` imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports(node)


def graph(source: Path) -> dict[str, set[str]]:
    """The modules below `source` that each of them imports.

    `from package import module` imports the module, `from package import name` the package.
    """
    files = {
        ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): path
        for path in source.rglob("*.py")
    }
    edges: dict[str, set[str]] = {}
    for module, path in files.items():
        names = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
        targets = {name if name in files else name.rpartition(".")[0] for name in names}
        edges[module] = (targets & files.keys()) - {module}
    return edges


def circle(source: Path) -> list[str]:
    """The modules of a circle of imports; empty if there is none."""
    try:
        TopologicalSorter(graph(source)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_imports_go_in_a_circle() -> None:
    assert circle(SOURCE) == []


def test_the_graph_has_imports_inside_functions_and_of_modules_by_from() -> None:
    edges = graph(SOURCE)
    assert "genlab.workflow.fetch" in edges["genlab.app.cli"]
    assert "genlab.data.sources.digits" in edges["genlab.data.sources.scenes"]


@pytest.mark.parametrize(
    ("back", "expected"),
    [
        ("import p.a", True),
        ("from p import a", True),
        ("def f():\n    from p.a import x", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.a", False),
        ("import os", False),
    ],
)
def test_a_circle_is_found(back: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p/__init__.py").touch()
    (tmp_path / "p/a.py").write_text("from p.b import y\nx = y")
    (tmp_path / "p/b.py").write_text("from p import c\ny = c.z")
    (tmp_path / "p/c.py").write_text(f"{back}\nz = 1")
    assert bool(circle(tmp_path)) == expected
