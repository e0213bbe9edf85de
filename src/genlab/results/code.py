"""The hash of the code that decides the bytes of a stage's files.

Snakemake compares the inputs and parameters of a rule, but not the modules that its command
imports. Each rule therefore has the hash of these modules as a parameter; `genlab.results.stages`
lists them. A module counts if it computes. What doesn't count, and isn't followed:

- the packages `UNCOUNTED`: a changed default or value is a change of the spec file, and messages,
  tracking and file helpers decide no result;
- comments, docstrings, formatting, the text of error messages, and imports for type checkers.

A file beside a module with its name counts as a part of it: the template or style sheet of a page.
The hash is taken over the syntax tree, and is the same with every supported Python.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1]
UNCOUNTED = frozenset({"app", "config", "course", "errors", "io", "results", "tracking"})

EVERY = ".*"
"""The end of a root that stands for all modules of a package, as registries find them."""

SKIPPED = frozenset({"ctx", "kind", "simple", "type_comment"})
"""Fields of syntax nodes that follow from others, or that formatting decides."""


class _Source(NamedTuple):
    """A module.

    Attributes:
        digest: of its code and of the files beside it.
        imports: the names it imports, of modules or of their members.
    """

    digest: str
    imports: frozenset[str]


class _Walk:
    """Writes a syntax tree as text, and collects the names that it imports.

    A node is written as its kind and its fields by name. Empty fields are left out, so that a field
    that a newer Python adds to a node changes nothing where it isn't used.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.imports: set[str] = set()

    def node(self, node: ast.AST, message: bool = False) -> None:
        """Write `node`; with `message`, it is part of an error message, whose text is left out."""
        match node:
            case ast.Expr(value=ast.Constant(value=str())):  # a docstring, or one of an attribute
                return
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                self.nodes("else", node.orelse, message)
                return
            case ast.Constant(value=value) | ast.MatchSingleton(value=value):
                text = message and isinstance(value, str)
                self.parts.append("text" if text else ascii(value))
                return
            case ast.JoinedStr():
                self.string(node, message)
                return
            case ast.Import():
                self.imports.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                self.imports.add(module)
                self.imports.update(f"{module}.{alias.name}" for alias in node.names)
        message = message or _is_error(node)
        kind = type(node).__name__
        self.parts.append(kind)
        for name in _fields(kind):
            value = getattr(node, name, None)
            if isinstance(node, ast.Assert) and name == "msg":
                continue
            if isinstance(value, ast.AST):
                self.nodes(name, [value], message)
            elif isinstance(value, list):
                self.nodes(name, _flat(value) if isinstance(node, ast.Delete) else value, message)
            elif value is not None and value != 0:
                self.parts.append(f"{name}={value!a}")

    def nodes(self, name: str, values: Sequence[ast.AST | str | None], message: bool) -> None:
        """Write the field `name` of a node. In a list of keys, None stands for `**`."""
        if not values:
            return
        self.parts.append(f"{name}[")
        for value in values:
            if isinstance(value, ast.AST):
                self.node(value, message)
            else:
                self.parts.append(ascii(value))
        self.parts.append("]")

    def string(self, node: ast.JoinedStr, message: bool) -> None:
        """Write an f-string. Pythons split the text between its expressions in different ways."""
        if message:
            self.parts.append("text")
            return
        text = ""
        self.parts.append("f[")
        for value in node.values:
            if isinstance(value, ast.Constant):
                text += str(value.value)
                continue
            self.parts.append(ascii(text))
            text = ""
            self.node(value)
        self.parts += [ascii(text), "]"]


@functools.cache
def _fields(kind: str) -> tuple[str, ...]:
    """The fields of a kind of node that count, in an order that doesn't depend on the Python."""
    return tuple(sorted(set(getattr(ast, kind)._fields) - SKIPPED))


def _is_error(node: ast.AST) -> bool:
    """Whether `node` raises or creates an exception."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name.endswith(("Error", "Exception"))
    return isinstance(node, ast.Raise)


def _flat(targets: list[ast.AST]) -> list[ast.AST]:
    """The targets of `del`, whether or not parentheses stand around them."""
    return [
        part
        for target in targets
        for part in (target.elts if isinstance(target, ast.Tuple) else [target])
    ]


def _file(module: str) -> Path | None:
    """The file of a module that counts; None for any other name."""
    package, *names = module.split(".")
    if package != PACKAGE.name or not names or names[0] in UNCOUNTED:
        return None
    base = PACKAGE.joinpath(*names)
    paths = (base.with_suffix(".py"), base / "__init__.py")
    return next((path for path in paths if path.is_file()), None)


def _beside(path: Path) -> Iterator[Path]:
    """Files that aren't Python and belong to the module at `path`.

    They bear its name. Those that bear no module's name belong to the package.
    """
    for file in sorted(path.parent.iterdir()):
        stem = file.name.partition(".")[0]
        if not stem or file.suffix in ("", ".py", ".pyc") or not file.is_file():
            continue
        own = stem if file.with_name(f"{stem}.py").is_file() else "__init__"
        if own == path.stem:
            yield file


@functools.cache
def _source(module: str) -> _Source | None:
    """A module that counts; None for any other name. Every rule needs it; it is read once."""
    path = _file(module)
    if path is None:
        return None
    walk = _Walk()
    walk.node(ast.parse(path.read_text(encoding="utf-8")))
    digest = hashlib.sha256("\n".join(walk.parts).encode())
    for file in _beside(path):
        digest.update(file.name.encode() + file.read_bytes())
    return _Source(digest.hexdigest(), frozenset(walk.imports))


def _with_packages(name: str) -> set[str]:
    """`name` and the packages around it, whose `__init__` runs when it is imported."""
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts) + 1)}


def _in_package(package: str) -> list[str]:
    """All modules right inside a package."""
    folder = PACKAGE.joinpath(*package.split(".")[1:])
    return [f"{package}.{path.stem}" for path in sorted(folder.glob("[!_]*.py"))]


def modules(roots: Iterable[str]) -> dict[str, str]:
    """The modules that count among `roots` and all that they import, with their digests.

    Args:
        roots: names of modules, perhaps with `:NAME` for something inside; `PACKAGE.*` stands for
            all modules of a package.
    """
    result: dict[str, str] = {}
    waiting: set[str] = set()
    for root in roots:
        name = root.partition(":")[0]
        every = name.endswith(EVERY)
        for each in _in_package(name.removesuffix(EVERY)) if every else [name]:
            waiting |= _with_packages(each)
    while waiting:
        module = waiting.pop()
        source = _source(module)
        if source:
            result[module] = source.digest
            for name in source.imports:
                waiting |= _with_packages(name) - result.keys()
    return dict(sorted(result.items()))


@functools.cache
def code(*roots: str) -> str:
    """A short hash over the modules `roots` and all that they import, as in `modules`."""
    lines = "".join(f"{module}={digest}\n" for module, digest in modules(roots).items())
    return hashlib.sha256(lines.encode()).hexdigest()[:12]
