"""The stage `league`: the rows of all runs in one table, in several formats."""

from __future__ import annotations

from typing import Any

import pandas as pd

from genlab.io.files import read_json, write_text
from genlab.report.exports import latex, measurements, with_reasons_apart, write_parquet
from genlab.report.league import NO_SAMPLER, markdown, read_league
from genlab.report.league_page import league_page
from genlab.report.ranking import ranking_markdown
from genlab.report.tracked import best_sampler, model_numbers, row_numbers
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.spec import read_runs, read_study
from genlab.tracking.record import leave_record


def league(study: StudyFolder) -> None:
    """Write the league in full precision (.csv, .parquet) and for people (.md, .tex, .html).

    Beside it, measurements.csv and .parquet have one line for each of its numbers, and ranking.md
    has the ranks of each data set. Each run receives its numbers as records for tracking services.
    """
    table = read_league(study)
    rankings = read_json(study.ranking)
    lines = measurements(table)
    write_text(study.league, table.to_csv(index=False))
    write_text(study.measurements, lines.to_csv(index=False))
    write_parquet(study.league_parquet, with_reasons_apart(table))
    write_parquet(study.measurements_parquet, lines)
    write_text(study.league_markdown, markdown(table))
    write_text(study.league_latex, latex(table))
    write_text(study.league_html, league_page(table, study.folder.name))
    ranks = [
        f"## {dataset}\n\n" + ranking_markdown(ranking, table[table["dataset"] == dataset])
        for dataset, ranking in rankings.items()
    ]
    write_text(study.ranking_markdown, "\n".join(ranks))
    leave_records(study, table, rankings)


def leave_records(study: StudyFolder, table: pd.DataFrame, rankings: dict[str, Any]) -> None:
    """Leave the numbers of each model and of each of its rows; of an evaluator, size and cost.

    Args:
        table: the league.
        rankings: the content of `ranking.json`.
    """
    settings = read_study(study.config)
    for run in read_runs(study):
        if run.model_name in settings.evaluators:
            numbers = {
                "parameters": read_json(run.summary)["parameters"],
                "train_seconds": read_json(run.cost)["train_seconds"],
            }
            leave_record(run, "league", metrics=numbers | _peak_memory(run), prefix="")
            continue
        seed = int(run.folder.name.removeprefix("seed"))
        keys = zip(table["dataset"], table["model"], table["seed"], strict=True)
        own = table[[key == (run.dataset, run.model_name, seed) for key in keys]]
        rows = {
            str(sampler): row_numbers(cells.to_dict("records"), settings.evaluation.extractors)
            for sampler, cells in own.groupby("sampler", sort=False)
        }
        best = best_sampler(rankings[run.dataset], run.model_name)
        leave_record(
            run,
            "league",
            metrics=model_numbers(rows, best) | _peak_memory(run),
            tags={"best_sampler": best} if best else {},
            artifacts=[study.league],
            prefix="",
        )
        for sampler in rows.keys() - {NO_SAMPLER}:
            at = run.samples(sampler)
            pictures = [path for path in (at.grid, at.strip) if path.exists()]
            leave_record(
                run,
                f"league_{sampler}",
                metrics=rows[sampler],
                artifacts=pictures,
                row=sampler,
                prefix="",
            )


def _peak_memory(run: RunFolder) -> dict[str, float]:
    """The resident memory of a training at its peak, where Snakemake measured it."""
    if not run.train_benchmark.exists():
        return {}
    benchmark = pd.read_csv(run.train_benchmark, sep="\t", na_values="-").iloc[-1]
    peak = float(benchmark["max_rss"])
    return {} if pd.isna(peak) else {"peak_memory_mb": peak}
