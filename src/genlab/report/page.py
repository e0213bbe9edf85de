"""The study's page: one self-contained HTML file, with every picture inside it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from genlab.report.facts import study_facts
from genlab.report.sections import Section, load_sections
from genlab.report.sorting import SORTING
from genlab.report.study import ReportedStudy
from genlab.report.templates import TEMPLATES


def render_section(section: Section, study: ReportedStudy) -> str:
    """Return the HTML of a section that applies, without its heading and introduction."""
    template = TEMPLATES.get_template(f"sections/{section.name}.html.jinja")
    return template.render(study=study.settings, **section.read(study))


def build_page(study: ReportedStudy) -> str:
    """Return the page as HTML: every section that applies to the study, in order."""
    sections = [section for section in load_sections() if section.applies(study)]
    script, style = (
        Path(__file__).with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".js", ".css")
    )
    script = SORTING + script
    digest = hashlib.sha256(script.encode()).digest()
    return TEMPLATES.get_template("page.html.jinja").render(
        study=study.settings,
        facts=study_facts(study),
        style=style,
        script=script,
        script_hash=base64.b64encode(digest).decode(),
        sections=[(section, render_section(section, study)) for section in sections],
    )
