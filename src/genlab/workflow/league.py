"""The stage `league`: the rows of all runs in one table, in several formats."""

from __future__ import annotations

from genlab.io.files import read_json, write_text
from genlab.report.exports import latex, measurements, with_reasons_apart, write_parquet
from genlab.report.league import markdown, read_league
from genlab.report.ranking import ranking_markdown
from genlab.results.layout import StudyFolder


def league(study: StudyFolder) -> None:
    """Write the league in full precision (.csv, .parquet) and for people (.md, .tex).

    Beside it, measurements.csv and .parquet have one line for each of its numbers, and ranking.md
    has the ranks of each data set.
    """
    table = read_league(study)
    lines = measurements(table)
    write_text(study.league, table.to_csv(index=False))
    write_text(study.measurements, lines.to_csv(index=False))
    write_parquet(study.league_parquet, with_reasons_apart(table))
    write_parquet(study.measurements_parquet, lines)
    write_text(study.league_markdown, markdown(table))
    write_text(study.league_latex, latex(table))
    ranks = [
        f"## {dataset}\n\n" + ranking_markdown(ranking, table[table["dataset"] == dataset])
        for dataset, ranking in read_json(study.ranking).items()
    ]
    write_text(study.ranking_markdown, "\n".join(ranks))
