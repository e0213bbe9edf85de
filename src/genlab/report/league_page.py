"""The league as a page of its own, whose table is sorted by a click: for Snakemake's report."""

from __future__ import annotations

import pandas as pd

from genlab.report.league import league_table
from genlab.report.sorting import SORTING
from genlab.report.templates import TEMPLATES


def league_page(table: pd.DataFrame, study: str) -> str:
    """Return the page as HTML.

    Args:
        table: the league.
        study: the name of the study.
    """
    template = TEMPLATES.get_template("league_page.html.jinja")
    return template.render(study=study, script=SORTING, **league_table(table))
