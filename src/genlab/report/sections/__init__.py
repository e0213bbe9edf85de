"""The sections of the page, one `NAME.py` and one `NAME.html.jinja` each, found by file name.

NAME.py holds one subclass of `Section`, with the figures that only this section draws; the template
renders what its `read` returns. Adding a section takes these two files and nothing else: its place,
its entry in the navigation and its part in the code hash of the rule `report` follow.

Importing this package imports no section, so planning a workflow stays fast.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from genlab.errors import GenLabError

if TYPE_CHECKING:
    from genlab.report.study import ReportedStudy


class Section:
    """One section of the page."""

    title: ClassVar[str]
    """Heading, and the text of the link in the navigation."""
    order: ClassVar[int]
    """Position on the page: sections are sorted by this number."""
    introduction: ClassVar[str] = ""
    """First paragraph, for readers, as HTML. Text that depends on the study is in the template."""

    @property
    def name(self) -> str:
        """Name of the file; on the page, with hyphens, the id of the section."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def anchor(self) -> str:
        """The id of the section on the page."""
        return self.name.replace("_", "-")

    def applies(self, study: ReportedStudy) -> bool:
        """Return whether the page of `study` has this section."""
        return True

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        """Return the variables of the template; it has `study`, the settings, as well.

        Called only where the section applies.
        """
        return {}


def section_modules() -> list[str]:
    """Return the full names of the modules that hold a section, in alphabetical order."""
    names = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return [f"{__name__}.{name}" for name in sorted(names)]


def load_section(module: str) -> Section:
    """Import a module and return its section.

    Raises:
        GenLabError: the module defines no subclass of `Section`.
    """
    content = importlib.import_module(module)
    for value in vars(content).values():
        if isinstance(value, type) and issubclass(value, Section) and value.__module__ == module:
            return value()
    raise GenLabError(f"{content.__file__}: defines no subclass of Section")


def load_sections() -> list[Section]:
    """Return all sections in the order of the page."""
    return sorted(map(load_section, section_modules()), key=lambda one: (one.order, one.name))
