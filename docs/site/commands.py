"""The reference of the command line, from the signatures of the commands."""

from __future__ import annotations

import inspect
import typing
from pathlib import Path
from typing import Any

from options import code, members, prose
from typer.models import ArgumentInfo

from genlab.app.cli import app

HEAD = ["| argument | value | default | explanation |", "|---|---|---|---|"]
WORDS = {int: "whole number", float: "number", str: "text", Path: "path", bool: "(a switch)"}


class Parameter:
    """An argument or an option of a command."""

    def __init__(self, parameter: inspect.Parameter, annotation: Any) -> None:
        kind, self.info = typing.get_args(annotation)
        self.required = parameter.default is inspect.Parameter.empty
        self.default = None if self.required else parameter.default
        if isinstance(self.info, ArgumentInfo):
            self.name = parameter.name.upper()
            self.usage = self.name
        else:
            declared = self.info.param_decls or [f"--{parameter.name.replace('_', '-')}"]
            self.name = ", ".join(declared)
            self.usage = f"{declared[0]} {parameter.name.upper()}"
        self.value = self._value(kind)

    def _value(self, kind: Any) -> str:
        """What it takes, in words."""
        if kind not in WORDS:
            (kind,) = (one for one in members(kind) if one is not type(None))
        if typing.get_origin(kind) is list:
            return f"{WORDS[members(kind)[0]]}, repeatable"
        low, high = self.info.min, self.info.max
        text = WORDS[kind]
        if low is not None and high is not None:
            return f"{text}, {low} to {high}"
        return f"{text}, ≥ {low}" if low is not None else text

    @property
    def row(self) -> str:
        """Its row of the command's table."""
        default = "**required**" if self.required else ""
        if self.default is not None:
            default = code(str(self.default))
        return f"| {code(self.name)} | {self.value} | {default} | {prose(self.info.help or '')} |"


def page() -> str:
    """The page of all commands."""
    panels: dict[str, list[str]] = {}
    for command in app.registered_commands:
        function: Any = command.callback
        name = command.name or function.__name__.replace("_", "-")
        kinds = typing.get_type_hints(function, include_extras=True)
        signature = inspect.signature(function).parameters.values()
        parameters = [Parameter(one, kinds[one.name]) for one in signature]
        needed = " ".join(one.usage for one in parameters if one.required)
        more = "" if all(one.required for one in parameters) else " [OPTIONS]"
        panels.setdefault(str(command.rich_help_panel), []).extend(
            [
                f"### genlab {name}",
                prose(function.__doc__ or ""),
                f"```console\n$ genlab {name} {needed}{more}\n```",
                "\n".join([*HEAD, *(one.row for one in parameters)]),
            ]
        )
    blocks = [f"## {title}\n\n" + "\n\n".join(panel) for title, panel in panels.items()]
    lead = (
        "`genlab --help` lists the commands, `genlab COMMAND --help` explains one. A command that "
        "fails because of its input prints one line, `error: ...`, and ends with status 1."
    )
    return "\n\n".join(["# Command line", lead, *blocks]) + "\n"
