"""The league as a page of its own, whose table is sorted by a click: for Snakemake's report."""

from __future__ import annotations

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from genlab.report.league import league_table


def league_page(table: pd.DataFrame, study: str) -> str:
    """Return the page as HTML.

    Args:
        table: the league.
        study: the name of the study.
    """
    templates = Environment(
        loader=PackageLoader("genlab", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = templates.get_template("league_page.html.jinja")
    return template.render(study=study, **league_table(table))
