"""The stage `report`: the study's page, report/index.html."""

from __future__ import annotations

from genlab.io.files import write_text
from genlab.report.page import build_page
from genlab.report.study import read_reported_study
from genlab.results.layout import StudyFolder


def report(study: StudyFolder) -> None:
    """Write report/index.html from the league, the measurements and the pictures of the study."""
    write_text(study.report, build_page(read_reported_study(study)))
