"""The stage `league`: every row of the study in one table, league.csv and league.md.

A cell without a number says why: the reason stands in it, never an empty string.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from genlab.config.base import read_yaml
from genlab.config.families import family_class
from genlab.config.layout import FLOOR, RunFolder, StudyFolder
from genlab.data.files import read_json, write_text

COLUMNS = {
    "dataset": "data set",
    "model": "model",
    "seed": "seed",
    "sampler": "sampler",
    "extractor": "features of",
    "fid": "FID",
    "kid": "KID",
    "kid_std": "KID std",
    "inception_score": "IS",
    "inception_score_std": "IS std",
    "precision": "precision",
    "recall": "recall",
    "reconstruction_mse": "MSE",
    "reconstruction_psnr": "PSNR dB",
    "evaluations": "NFE",
    "seconds_per_image": "s/image",
    "parameters": "parameters",
    "images_seen": "images seen",
    "train_seconds": "training s",
    "samples": "N",
    "reference_images": "reference N",
}
"""Columns of league.csv, and how the tables for people call them."""

NAMES = ("dataset", "model", "sampler", "extractor")
NO_MODEL = "no model"
NO_ENCODER = "no encoder"


def _of_run(run: RunFolder, family: str) -> dict[str, Any]:
    """What holds for all rows of a run."""
    summary = read_json(run.summary)
    values = {
        "parameters": summary["parameters"],
        "images_seen": summary["images"],
        "train_seconds": read_json(run.cost)["train_seconds"],
        "reconstruction_mse": NO_ENCODER,
        "reconstruction_psnr": NO_ENCODER,
    }
    if family_class(family, run.config).reconstructs:
        values |= read_json(run.reconstructions / "metrics.json")
    return values


def _rows(study: StudyFolder, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One mapping for each data set, model, seed, sampler and extractor; floors first."""
    for dataset in content["datasets"]:
        runs: list[tuple[str, int, RunFolder]] = []
        if content["evaluation"]["floors"]:
            runs.append((FLOOR, 0, study.run(dataset, FLOOR, 0)))
        for model in content["models"]:
            runs += [(model, seed, study.run(dataset, model, seed)) for seed in content["seeds"]]
        for model, seed, run in runs:
            names = dict.fromkeys(COLUMNS, NO_MODEL) if model == FLOOR else {}
            if model != FLOOR:
                names |= _of_run(run, content["models"][model]["model"]["family"])
            for row, by_extractor in read_json(run.metrics).items():
                cost = read_json(run.samples(row).cost) if model != FLOOR else {}
                for extractor, metrics in by_extractor.items():
                    where = {"dataset": dataset, "model": model, "seed": seed, "sampler": row}
                    yield names | where | {"extractor": extractor} | cost | metrics


def read_league(study: StudyFolder) -> pd.DataFrame:
    """The table, one row for each (data set, model, seed, sampler, extractor)."""
    content = read_yaml(study.config)
    table = pd.DataFrame(list(_rows(study, content)))
    return table[list(COLUMNS)]


def readable(value: object, column: str) -> str:
    """A cell for people: three to four significant digits, whole numbers with separators."""
    if value in (NO_MODEL, NO_ENCODER):
        return f"({value})"
    if column in NAMES:
        return str(value)
    number = float(str(value))  # a column with reasons in it comes as text
    if column == "seed":
        return f"{number:.0f}"
    if number.is_integer() and abs(number) >= 1:
        return f"{number:,.0f}"
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if abs(number) < 100 else f"{number:.1f}"


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(COLUMNS.values()) + " |", "|" + " --- |" * len(COLUMNS)]
    for _, row in table.iterrows():
        lines.append("| " + " | ".join(readable(row[c], c) for c in COLUMNS) + " |")
    return "\n".join(lines) + "\n"


def league(study: StudyFolder) -> None:
    """Write league.csv (full precision) and league.md."""
    table = read_league(study)
    write_text(study.league, table.to_csv(index=False))
    write_text(study.league_markdown, markdown(table))
