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
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1]


class _Source(NamedTuple):
    """What a module is made of."""

    digest: str  # of its code and of the files beside it
    imports: frozenset[str]  # the names that it imports, of modules or of what is in them


@functools.cache
def _source(module: str) -> _Source | None:
    """A module of this package; None for any other name. Asked for by every rule, read once."""
    package, *names = module.split(".")
    if package != PACKAGE.name:
        return None
    base = PACKAGE.joinpath(*names)
    paths = (base.with_suffix(".py"), base / "__init__.py")
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return None
    tree = ast.parse(path.read_text(encoding="utf-8"))
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
    digest = hashlib.sha256(ast.dump(tree).encode())
    for beside in sorted(path.parent.glob(f"{path.stem}.*")):  # page.css of page.py
        if beside.suffix != ".py":
            digest.update(beside.read_bytes())
    return _Source(digest.hexdigest(), frozenset(imports))


def modules(roots: Iterable[str]) -> dict[str, str]:
    """All modules of this package that `roots` import, directly or not, with their digests."""
    found: dict[str, str] = {}
    waiting = {root.partition(":")[0] for root in roots}
    while waiting:
        module = waiting.pop()
        source = _source(module)
        if source:
            found[module] = source.digest
            waiting |= source.imports - found.keys()
    return dict(sorted(found.items()))


def code(*roots: str) -> str:
    """A short hash over the code of the modules `roots` and all that they import."""
    lines = "".join(f"{module}={digest}\n" for module, digest in modules(roots).items())
    return hashlib.sha256(lines.encode()).hexdigest()[:12]
