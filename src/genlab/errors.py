"""Errors meant for people: what is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError


class GenLabError(Exception):
    """A mistake of the user or the surroundings. The command line prints it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows of it: as a terminal, no more than what is said."""
        return [f"error: {self}"]


class ConfigError(GenLabError):
    """A value in a configuration that can't be used; names the file, the key and the remedy."""


def shown(value: Any) -> str:
    """`value` as a study file would have it, shortened where it is long."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    brief = reprlib.Repr()
    brief.maxstring = brief.maxlong = brief.maxother = 80
    brief.maxlevel = 2
    return brief.repr(value)


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest of the `known` words, or lists them all."""
    words = sorted(known)
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
    "too_long": "takes {max_length} items at most",
    "string_too_short": "is empty; write a value, or leave the key out",
    "string_too_long": "takes {max_length} characters at most",
    "string_pattern_mismatch": "a name is made of a-z, 0-9, '.', '_' and '-', a letter first",
    "value_error": "{error}",
}
"""What pydantic's errors are in plain words, by their type or the beginning of it."""
SCALAR = (str, int, float, bool)


def _in_words(problem: Any) -> str:
    """One of pydantic's errors in plain words, with the value and the remedy."""
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
    """Turn pydantic's `error` into lines `source: key: what is wrong`, one for each mistake."""
    problems = error.errors(include_url=False)
    inner = {problem["loc"][:-1] for problem in problems}
    lines = []
    for problem in problems:
        if problem["type"] == "too_short" and problem["loc"] in inner:
            continue  # a list is short of its wrong items alone
        keys = [str(part) for part in problem["loc"] if part != "[key]"]
        place = f"{'.'.join(keys)}: " if keys else ""
        lines.append(f"{source}: {place}{_in_words(problem)}")
    return ConfigError("\n".join(dict.fromkeys(lines)))
