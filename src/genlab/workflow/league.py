"""The stage `league`: the rows of all runs in one table, league.csv and league.md."""

from __future__ import annotations

from genlab.io.files import write_text
from genlab.report.league import markdown, read_league
from genlab.results.layout import StudyFolder


def league(study: StudyFolder) -> None:
    """Write league.csv (full precision) and league.md (for people)."""
    table = read_league(study)
    write_text(study.league, table.to_csv(index=False))
    write_text(study.league_markdown, markdown(table))
