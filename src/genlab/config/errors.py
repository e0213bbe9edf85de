"""Errors meant for people: what is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, cast

from pydantic import ValidationError


class GenLabError(Exception):
    """A mistake of the user or the surroundings. The command line prints it without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """What Jupyter shows of it: as a terminal, no more than what is said."""
        return [f"error: {self}"]


class ConfigError(GenLabError):
    """A value in a configuration that can't be used; names the file, the key and the remedy."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest of the `known` words, or lists them all."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'? (known: {', '.join(words)})"
    return f"known: {', '.join(words) or 'none'}"


def explain(error: ValidationError, source: str) -> ConfigError:
    """Turn pydantic's `error` into lines `source: key: what is wrong`, one for each mistake."""
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        if "input" in problem and not isinstance(problem["input"], dict):
            message += f" (got {cast(Any, problem['input'])!r})"
        lines.append(f"{source}: {key + ': ' if key else ''}{message}")
    return ConfigError("\n".join(dict.fromkeys(lines)))
