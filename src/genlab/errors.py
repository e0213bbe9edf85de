"""Errors for the user: what is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError


class GenLabError(Exception):
    """An error of the input or the environment; the command line prints it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """Return what Jupyter shows: the message alone, as on a terminal."""
        return [f"error: {self}"]


class DivergenceError(GenLabError):
    """A loss, gradient, weight or average of a training became NaN or infinite.

    Args:
        place: the training, the step and the numbers.
        remedy: what to do.
    """

    def __init__(self, place: str, remedy: str) -> None:
        super().__init__(f"{place}: not finite, training stopped and no weights saved. {remedy}")
        self.place = place


class ConfigError(GenLabError):
    """An unusable value in a configuration; the message names the file, the key and the remedy."""


def shown(value: Any) -> str:
    """Return `value` as it would be written in a study file, abbreviated if it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    brief = reprlib.Repr()
    brief.maxstring = brief.maxlong = brief.maxother = 80
    brief.maxlevel = 2
    return brief.repr(value)


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return a hint that names the closest of the `choices`, and lists them all."""
    words = sorted(choices)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'? (known: {', '.join(words)})"
    return f"known: {', '.join(words) or 'none'}"


MESSAGES = {
    "missing": "missing",
    "int": "expected a whole number",
    "float": "expected a number",
    "finite": "expected a finite number",
    "bool": "expected true or false",
    "string": "expected text",
    "tuple": "expected a list",
    "dict": "expected 'key: value' lines or {{key: value}}",
    "model": "expected 'key: value' lines or {{key: value}}",
    "literal": "expected {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "too_short": "needs {min_length} or more items",
    "too_long": "takes at most {max_length} items",
    "string_too_short": "is empty; write a value, or leave the key out",
    "string_too_long": "takes at most {max_length} characters",
    "string_pattern_mismatch": "a name has a-z, 0-9, '.', '_' and '-', and begins with a letter",
    "value_error": "{error}",
}
"""Plain words for pydantic's errors, by their type or its first part."""
SCALAR = (str, int, float, bool)


def _in_words(problem: Any) -> str:
    """Describe one of pydantic's errors in plain words, with the value and the remedy."""
    kind, value = problem["type"], problem["input"]
    template = MESSAGES.get(kind) or MESSAGES.get(kind.partition("_")[0])
    limits = {  # 1.0 as 1
        name: int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        for name, limit in problem.get("ctx", {}).items()
    }
    message: str = template.format(**limits) if template else problem["msg"]
    if kind in ("missing", "value_error", "string_too_short"):
        return message
    if value is None:
        return f"{message}, but it is empty; write a value, or leave the key out"
    if kind == "tuple_type" and isinstance(value, SCALAR):
        message += f" such as [{value}]"
    message += f", got {shown(value)}"
    if kind == "string_type" and isinstance(value, SCALAR):
        message += "; put it in quotes"
    return message


def explain(error: ValidationError, source: str) -> ConfigError:
    """Turn pydantic's `error` into lines `source: key: problem`."""
    problems = error.errors(include_url=False)
    inner = {problem["loc"][:-1] for problem in problems}
    lines = []
    for problem in problems:
        if problem["type"] == "too_short" and problem["loc"] in inner:
            continue  # the list is too short only because of its wrong items
        keys = [str(part) for part in problem["loc"] if part != "[key]"]
        place = f"{'.'.join(keys)}: " if keys else ""
        lines.append(f"{source}: {place}{_in_words(problem)}")
    return ConfigError("\n".join(dict.fromkeys(lines)))
