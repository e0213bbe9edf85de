"""Exercises of the course, one file each, found by its name.

An exercise asks for one Python function. Its class carries all facts about it: number and title,
the reference solution (whose signature and docstring are the task), typical wrong answers with
their hints, the arguments to try, and an oracle that computes the right values in another way.
"""

from __future__ import annotations

import ast
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from genlab.errors import GenLabError, nearest
from genlab.registry import classes_in

Answer = Callable[..., Any]
Case = tuple[Any, ...]
"""Arguments of one call of an answer."""


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer, and a hint that does not give the right one away."""

    answer: Answer
    hint: str


class Exercise(ABC):
    """One function to write, and how it is checked."""

    number: ClassVar[str]
    """Lesson and place in it, such as "5.3"."""
    title: ClassVar[str]
    solution: ClassVar[Answer]
    """The reference solution; an answer has its name and arguments."""
    mistakes: ClassVar[tuple[Mistake, ...]]
    tolerance: ClassVar[float] = 1e-3
    """Relative to the largest right value: an answer may compute in float32."""

    @abstractmethod
    def cases(self, seed: int) -> list[Case]:
        """Arguments to try; the same at every call with the same seed."""

    @abstractmethod
    def oracle(self, *args: Any) -> Any:
        """The right value, computed otherwise than by the solution."""

    def result(self, answer: Answer, *args: Any) -> Any:
        """What is compared: the value of `answer`, or also what follows from it (a gradient)."""
        return answer(*args)

    @property
    def name(self) -> str:
        """Name of the function to write."""
        return self.solution.__name__

    @property
    def source(self) -> str:
        """Source text of the reference solution."""
        return inspect.getsource(self.solution)

    @property
    def code(self) -> str:
        """Source text of the reference solution without its docstring."""
        lines, docstring = self.source.splitlines(), self._definition().body[0]
        return "\n".join(lines[: docstring.lineno - 1] + lines[docstring.end_lineno :])

    @property
    def signature(self) -> str:
        """Name, arguments and type of the function, as Python writes them."""
        node = self._definition()
        node.body = [ast.Expr(ast.Constant(...))]
        return ast.unparse(node).partition("def ")[2].rpartition(":")[0]

    @property
    def place(self) -> tuple[int, int]:
        """Lesson and exercise as numbers, for sorting."""
        lesson, _, exercise = self.number.partition(".")
        return int(lesson), int(exercise)

    def template(self) -> str:
        """Return a file to start from: imports, signature, task, no body."""
        lines = self.source.splitlines()
        docstring = self._definition().body[0]
        head = "\n".join(lines[: docstring.end_lineno])
        callables = "from collections.abc import Callable\n" if "Callable" in head else ""
        return (
            f'"""Exercise {self.number}: {self.title}.\n\n'
            f'Check this file with `genlab check {self.number} FILE`.\n"""\n\n'
            f"import math\n{callables}\nimport torch\nfrom torch import Tensor\n\n\n"
            f"{head}\n    raise NotImplementedError  # replace this line by your code\n"
        )

    def _definition(self) -> ast.FunctionDef:
        """Syntax tree of the reference solution."""
        (node,) = ast.parse(self.source).body
        assert isinstance(node, ast.FunctionDef)
        return node


@functools.cache
def exercises() -> dict[str, Exercise]:
    """All exercises by number, in the order of the course."""
    instances = [kind() for kind in classes_in(__name__, Exercise)]  # type: ignore[type-abstract]
    return {exercise.number: exercise for exercise in sorted(instances, key=lambda e: e.place)}


def find(number: str) -> Exercise:
    """The exercise with this number.

    Raises:
        GenLabError: there is none.
    """
    if number not in exercises():
        raise GenLabError(f"no exercise {number} is checked; {nearest(number, exercises())}")
    return exercises()[number]
