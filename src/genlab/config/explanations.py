"""The docstrings under the keys of configurations, for readers of tables and of the schema."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap

from pydantic import BaseModel


@functools.cache
def own_explanations(config: type[BaseModel]) -> dict[str, str]:
    """The docstring under each key that the class itself declares."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(config))).body
    assert isinstance(tree, ast.ClassDef)
    explanations = {}
    for line, after in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            explanations[line.target.id] = inspect.cleandoc(after.value.value)
    return explanations


def explanation(config: type[BaseModel], key: str) -> str:
    """The docstring under a key, of the class or of the nearest one that it builds on."""
    for kind in config.__mro__:
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not BaseModel:
            text = own_explanations(kind).get(key)
            if text:
                return text
    return ""
