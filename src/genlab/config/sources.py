"""Which source files a stage depends on, so that a change of code redoes just what it touches.

Snakemake compares a rule's inputs and parameters, but not the modules that its command imports.
Each rule therefore carries, as a parameter, the hash of the modules that its stage imports,
directly or not, and of the files that lie beside a module under its name, such as templates.
Comments and docstrings don't count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def _path(module: str) -> Path | None:
    """The file of a module of this package, or None for any other name."""
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return None
    base = PACKAGE.joinpath(*parts[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _parse(path: Path) -> tuple[str, frozenset[str]]:
    """The digest of a file's code, and the modules of this package that it imports."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports.add(node.module)
            imports.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                first.value.value = ""  # a docstring
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return digest, frozenset(imports)


def modules(roots: Iterable[str]) -> list[str]:
    """All modules of this package that the modules `roots` import, directly or not, sorted."""
    found: set[str] = set()
    waiting = [root.partition(":")[0] for root in roots]
    while waiting:
        module = waiting.pop()
        path = _path(module)
        if path is None or module in found:
            continue
        found.add(module)
        waiting.extend(_parse(path)[1])
    return sorted(found)


def code(*roots: str) -> str:
    """A short hash over the code of the modules `roots` and all that they import."""
    digest = hashlib.sha256()
    for module in modules(roots):
        path = _path(module)
        if path is not None:
            digest.update(f"{module}={_parse(path)[0]}\n".encode())
            for beside in sorted(path.parent.glob(f"{path.stem}.*")):  # page.css of page.py
                if beside.suffix != ".py":
                    digest.update(beside.read_bytes())
    return digest.hexdigest()[:12]
