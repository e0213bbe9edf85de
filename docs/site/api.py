"""The pages of the library's modules, and their plain docstrings as reStructuredText."""

from __future__ import annotations

import importlib
import re
from typing import Any

from sphinx import addnodes
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.transforms import SphinxTransform

from genlab.registry import modules_in

PACKAGES = {
    "genlab": "import genlab",
    "genlab.models": "Models",
    "genlab.samplers": "Samplers",
    "genlab.processes": "Noise processes",
    "genlab.nn": "Networks and layers",
    "genlab.data": "Data",
    "genlab.data.sources": "Data sources",
    "genlab.training": "Training",
    "genlab.sampling": "Sampling",
    "genlab.evaluation": "Evaluation",
    "genlab.evaluation.metrics": "Metrics",
    "genlab.evaluation.extractors": "Feature extractors",
    "genlab.evaluation.elbo": "ELBO study",
    "genlab.evaluation.memorisation": "Memorisation",
}
"""The packages of the library, in the order of the navigation."""
DOCUMENTED = ["api", *sorted({package.split(".")[1] for package in PACKAGES if "." in package})]
"""The parts of the package that the pages show as a whole."""
LIBRARY = "|".join(DOCUMENTED)
NO_PAGE = rf".*\.[A-Z]+|genlab\.nn\.layers\.Affine|(?!genlab\.({LIBRARY})\b).*"
"""Names in backticks and in signatures that lead nowhere: type variables, placeholders such as
`genlab.samplers.NAME`, and all that is not of the library."""
FIRST = {
    "genlab.models": ["base", "capabilities", "store", "gaussian"],
    "genlab.processes": ["paths", "gaussian"],
}
"""Modules that the others of their package build on."""
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
NAPOLEON: Any = Config(napoleon_use_ivar=True)
LONGEST_VALUE = 60
MACHINE = re.compile(r"Path\(|0x[0-9a-f]|<")
"""Values that are a path or an object in memory."""
KEPT = re.compile(r"(``[^`]*``|`[^`]*`|(?<!\S)\*\*[^*\s][^*]*\*\*(?!\w))")
SPECIAL = re.compile(r"[*|\\]|(?<=\w)_(?!\w)")


def modules_of(package: str) -> list[str]:
    """The modules that the page of a package shows."""
    if package == "genlab":
        return ["genlab.api"]
    modules = [one for one in modules_in(package) if one not in PACKAGES]
    first = [f"{package}.{name}" for name in FIRST.get(package, [])]
    return [*first, *(one for one in modules if one not in first)]


def heading(text: str, line: str) -> str:
    """A heading of reStructuredText."""
    return f"{text}\n{line * len(text)}"


def pages() -> dict[str, str]:
    """The pages of the library by name, as reStructuredText."""
    made = {}
    for package, title in PACKAGES.items():
        modules = modules_of(package)
        blocks = [heading(title, "=")]
        if importlib.import_module(package).__doc__:
            modules.insert(0, package)
        else:
            blocks.append(f".. py:module:: {package}")
        for module in modules:
            blocks += [heading(module, "-"), f".. automodule:: {module}"]
        made[f"reference/library/{package.removeprefix('genlab.')}"] = "\n\n".join(blocks) + "\n"
    return made


def escape(text: str) -> str:
    """Escape what plain text and reStructuredText read differently; code and bold text stay."""
    parts = KEPT.split(text)
    parts[::2] = [SPECIAL.sub(r"\\\g<0>", part) for part in parts[::2]]
    return "".join(parts)


def to_rst(lines: list[str]) -> list[str]:
    """Turn a plain docstring into reStructuredText.

    A block that is indented by four or more spaces is a formula, a table or an example, whose
    alignment counts. The text of the sections `Args:` and so on is left to napoleon.
    """
    made: list[str] = []
    text: list[str] = []
    in_section = in_block = False

    def end_of_text() -> None:
        made.extend(escape("\n".join(text)).splitlines())
        text.clear()

    for line in lines:
        if line and not line.startswith(" "):
            in_section = bool(SECTION.match(line)) or (in_section and not (text and not text[-1]))
        if line.startswith("    ") and not in_section:
            if not in_block:
                end_of_text()
                made += ["", "::", ""]
            in_block = True
            made.append(line)
        elif in_block and not line:
            made.append(line)
        else:
            if in_block:
                made.append("")
            in_block = False
            text.append(line)
    end_of_text()
    return made


def process_docstring(
    app: Any, what: Any, name: str, thing: Any, options: Any, lines: list[str]
) -> None:
    """Autodoc's event: convert the docstring in place.

    Napoleon turns the sections into fields. It is not loaded as an extension, because it would read
    the text before a colon in the docstring of an attribute as the attribute's type.
    """
    lines[:] = to_rst(lines)
    if what not in ("attribute", "data", "property"):
        lines[:] = GoogleDocstring(lines, NAPOLEON, app, what, name, thing, options).lines()


class LeaveOutLongValues(SphinxTransform):
    """Leaves out the values of constants that are long, or not the same on every machine."""

    default_priority = 500

    def apply(self, **kwargs: object) -> None:
        for node in list(self.document.findall(addnodes.desc_annotation)):
            text = node.astext()
            if text.startswith(" = ") and (len(text) > LONGEST_VALUE or MACHINE.search(text)):
                node.parent.remove(node)


def skip_member(
    app: Any, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Autodoc's event: leave out the docstrings that Python gives the fields of a tuple."""
    if str(getattr(thing, "__doc__", "")).startswith("Alias for field number"):
        return True
    return None
