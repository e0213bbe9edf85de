"""The sections of the page, one `NAME.py` and one `NAME.html.jinja` each, found by file name.

NAME.py holds one subclass of `Section`, with the figures that only this section draws; the template
renders what its `read` returns. Adding a section takes these two files and nothing else: its place,
its entry in the navigation and its part in the code hash of the rule `report` follow.

Importing this package imports no section, so planning a workflow stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from genlab.registry import classes_in

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


def load_sections() -> list[Section]:
    """Return all sections in the order of the page."""
    sections = [kind() for kind in classes_in(__name__, Section)]
    return sorted(sections, key=lambda section: (section.order, section.name))
