"""The league: every row of the study in one table.

The columns follow from the metrics (`genlab.evaluation.metrics`). A cell without a number holds the
reason why there is none, never an empty string.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import pandas as pd

from genlab.config.evaluators import CALIBRATION, Evaluator, extractor
from genlab.config.families import FamilyConfig
from genlab.config.study import Study
from genlab.errors import GenLabError
from genlab.evaluation.memorisation.copying import (
    LEVEL,
    NO_VERDICT,
    PARTS_VERDICT,
    WHOLE_VERDICT,
)
from genlab.evaluation.metrics import (
    ONE_CLASS,
    Cells,
    Column,
    ModelRecord,
    Need,
    RowRecord,
    metrics,
)
from genlab.evaluation.ranking import holm
from genlab.io.files import read_json
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import OF_ROW, read_measured, read_metrics, row_origin, run_origin
from genlab.results.spec import RunSpec, read_run, read_study
from genlab.results.stages import rows_of

KEYS = {
    "dataset": "data set",
    "model": "model",
    "variant": "variant",
    "seed": "seed",
    "sampler": "sampler",
    "extractor": "features of",
}
"""Columns that name a row."""
MEASURED: dict[str, Column] = {c.name: c for metric in metrics() for c in metric.columns}
"""Columns of metrics, by name."""
HEADS = KEYS | {name: column.head for name, column in MEASURED.items()}
"""Columns of tables for people, and their heads; the ends of an interval stand in its cell."""
COLUMNS = (*KEYS, *(name for column in MEASURED.values() for name in column.names))
"""Columns of league.csv."""
FIRST = (
    "model", "sampler", "tier", "rank", "fdr", "fid", "kid", "precision", "recall", "copying",
    "bits_per_dim", "bits_kind", "evaluations", "seconds_per_image", "train_seconds", "parameters",
)  # fmt: skip
"""Columns that the page shows at first, beside the keys that differ between rows."""
FILTERED = ("variant", "extractor")
"""Keys that the page doesn't show at first: the variant is long, and one extractor is chosen."""
NAMES = tuple(
    name for name in HEADS if (MEASURED[name].text if name in MEASURED else name != "seed")
)
"""Columns that hold words."""

Row = Mapping[Any, Any] | pd.Series
"""A row of the league, by column."""

NO_MODEL = "no model"
NO_ENCODER = "no encoder"
NO_LATENTS = "no latent vector"
NO_SAMPLES = "no prior"
NO_SAMPLER = "none"
NO_LOGITS = "no class logits"


class RunRecord:
    """A trained model, and what the stages wrote about it; a file is read when it is needed."""

    def __init__(self, run: RunFolder, family: FamilyConfig) -> None:
        self.run, self.family, self.origin = run, family, run_origin(run)

    @cached_property
    def summary(self) -> dict[str, Any]:
        return read_measured(self.run.summary, self.origin)

    @cached_property
    def training_cost(self) -> dict[str, Any]:
        cost: dict[str, Any] = read_json(self.run.cost)
        return cost

    @cached_property
    def likelihood(self) -> dict[str, Any]:
        return read_measured(self.run.likelihood, self.origin)

    @cached_property
    def reconstruction(self) -> dict[str, Any]:
        return read_measured(self.run.reconstructions / "metrics.json", self.origin)

    @cached_property
    def reconstruction_fid(self) -> dict[str, float | None]:
        return read_measured(self.run.rfid, self.origin)

    @cached_property
    def latents(self) -> dict[str, Any]:
        return read_measured(self.run.latents / "latents.json", self.origin)


def _chain(run: RunFolder) -> list[RunRecord]:
    """The run's model, the one it builds on, and so on."""
    spec: RunSpec | None = read_run(run.config)
    chain = []
    while spec is not None:
        chain.append(RunRecord(run.study.run(run.dataset, spec.name, spec.seed), spec.model))
        spec = spec.first_stage
    return chain


def missing_needs(
    models: Sequence[ModelRecord], evaluator: Evaluator, classes: int
) -> dict[Need, str]:
    """What the rows of a run lack, and why.

    Args:
        models: of the run; empty for calibration rows.
        classes: of the data set.
    """
    missing: dict[Need, str] = {}
    if not models:
        needs: tuple[Need, ...] = ("model", "reconstructions", "latents", "likelihood")
        missing |= dict.fromkeys(needs, NO_MODEL)
    else:
        if models[0].family.generates == "nothing":
            missing["samples"] = NO_SAMPLES
        if not any(model.family.reconstructs for model in models):
            missing["reconstructions"] = NO_ENCODER
        if not models[0].family.encodes:
            missing["latents"] = NO_LATENTS
        if not models[0].family.likelihoods:
            missing["likelihood"] = models[0].family.no_likelihood
    if not evaluator.tells_classes(classes):
        missing["logits"] = ONE_CLASS if evaluator.predicts_classes else NO_LOGITS
    return missing


def _cells(run: RunFolder, record: RowRecord) -> Cells:
    """The cells of all metrics in one row.

    Raises:
        GenLabError: a metric has not been measured.
    """
    cells: Cells = {}
    for metric in metrics():
        try:
            cells |= metric.cells(record)
        except KeyError as name:
            message = f"{run.folder}: no value of {name} was measured; run the workflow again"
            raise GenLabError(message) from None
    return cells


Places = Mapping[tuple[str, str], Mapping[str, Any]]
"""Entries of ranking.json by model and sampler."""


def _places(study: StudyFolder, dataset: str) -> Places:
    """The ranking of a data set's rows."""
    rows = read_json(study.ranking)[dataset]["rows"]
    return {(row["model"], row["sampler"]): row for row in rows}


def _metrics_of_rows(run: RunFolder, settings: Study) -> dict[str, dict[str, Any]]:
    """The metrics of the rows of a run, as `read_metrics` returns them.

    Raises:
        GenLabError: a row of the study has no metrics.
    """
    measured = read_metrics(run)
    missing = [row for row in rows_of(settings, run.model_name) if row not in measured]
    if missing:
        raise GenLabError(
            f"{run.metrics}: no metrics of {', '.join(missing)}; to measure all rows: "
            f"genlab evaluate --run {run.folder}"
        )
    return measured


def rows_of_run(run: RunFolder, settings: Study) -> Iterator[dict[str, Any]]:
    """A mapping for each row and extractor of one run of a study, or of the calibration rows.

    A model that only reconstructs has one row, which says that it draws no samples.

    Raises:
        GenLabError: a row of the study has no metrics.
    """
    models = [] if run.model_name == CALIBRATION else _chain(run)
    seed = int(run.folder.name.removeprefix("seed"))
    variant = models[0].family.variant if models else NO_MODEL
    keys = {"dataset": run.dataset, "model": run.model_name, "variant": variant, "seed": seed}
    classes = len(read_json(run.data.manifest)["classes"])
    places = _places(run.study, run.dataset)
    draws = not models or models[0].family.generates != "nothing"
    if draws:
        measured = _metrics_of_rows(run, settings)
    else:
        measured = {NO_SAMPLER: {name: {} for name in settings.evaluation.extractors}}
    for row, by_extractor in measured.items():
        at = run.samples(row)
        cost = read_measured(at.cost, row_origin(at)) if models and draws else {}
        of_row = by_extractor.pop(OF_ROW, {})
        for name, values in by_extractor.items():
            evaluator = extractor(name)
            missing = missing_needs(models, evaluator, classes)
            place = places.get((run.model_name, row))
            record = RowRecord(models, missing, name, cost, {**of_row, **values}, place)
            labels = {"sampler": row, "extractor": evaluator.label(classes)}
            yield keys | labels | _cells(run, record)


def _rows(study: StudyFolder, settings: Study) -> Iterator[dict[str, Any]]:
    """One mapping for each data set, model, seed, sampler and extractor; calibration rows first."""
    for dataset in settings.datasets:
        if settings.evaluation.calibration:
            yield from rows_of_run(study.run(dataset, CALIBRATION, 0), settings)
        for model, seed in product(settings.models, settings.seeds):
            yield from rows_of_run(study.run(dataset, model, seed), settings)


def read_league(study: StudyFolder) -> pd.DataFrame:
    """The table, one row for each (data set, model, seed, sampler, extractor)."""
    table = pd.DataFrame(list(_rows(study, read_study(study.config))))
    return table[list(COLUMNS)]


def in_features_of(table: pd.DataFrame, name: str) -> pd.Series[bool]:
    """Which rows of the league are measured in the features of the extractor `name`."""
    return table["extractor"].isin({extractor(name).label(classes) for classes in (1, 2)})


def is_reason(value: object, column: str) -> bool:
    """Whether a cell says why there is no number in it."""
    if column in NAMES:
        return False
    try:
        float(str(value))
    except ValueError:
        return True
    return False


def readable(value: object, column: str) -> str:
    """A cell for people: three to four significant digits, whole numbers with separators."""
    if column in NAMES:
        return str(value)
    if is_reason(value, column):
        return f"({value})"
    number = float(str(value))  # a column with reasons in it comes as text
    if column == "seed":
        return f"{number:.0f}"
    if number.is_integer() and abs(number) >= 1:
        return f"{number:,.0f}"
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}" if abs(number) < 100 else f"{number:.1f}"


def mean_cell(runs: pd.Series, column: str) -> float | str:
    """The mean of a column over the runs of a row; the words or the reason where one has none."""
    words = [str(value) for value in runs if column in NAMES or is_reason(value, column)]
    return words[0] if words else float(pd.to_numeric(runs).mean())


def without_chance_copies(audits: pd.DataFrame) -> pd.DataFrame:
    """The league of one data set, without verdicts on copies of whole images that may be chance.

    One audit of an honest row errs with a chance of LEVEL, 40 of them with up to a third. A verdict
    stands if its p-value is below LEVEL after Holm's correction over all audits of models. Then no
    honest row has one, up to a chance of LEVEL. The p-values stay as they are.

    Args:
        audits: one line for each model, seed and sampler.
    """
    p_values = pd.to_numeric(audits["copying_p"], errors="coerce")
    p_values = p_values[audits["model"] != CALIBRATION].dropna()
    corrected = pd.Series(holm(p_values.to_numpy()), p_values.index)
    whole = audits["copying"].astype(str).str.startswith(WHOLE_VERDICT)
    chance = whole & (corrected.reindex(audits.index) >= LEVEL)
    return audits.assign(copying=audits["copying"].mask(chance, NO_VERDICT))


def _severity(verdict: str) -> int:
    """0 for a verdict on whole images, 1 on parts, 2 otherwise."""
    verdicts = (WHOLE_VERDICT, PARTS_VERDICT, "")
    return next(i for i, beginning in enumerate(verdicts) if verdict.startswith(beginning))


def mean_cells(runs: pd.DataFrame) -> dict[str, float | str]:
    """The mean of every column over the runs of a row; of the verdicts on copying, the worst."""
    cells = {name: mean_cell(runs[name], name) for name in MEASURED}
    p_values = pd.to_numeric(runs["copying_p"], errors="coerce").dropna()
    verdicts = runs.loc[p_values.index, "copying"].astype(str)
    if len(verdicts):
        worst_first = zip(verdicts.map(_severity), p_values, verdicts, strict=True)
        _, cells["copying_p"], cells["copying"] = min(worst_first)
    return cells


def interval_of(row: Row, column: str) -> tuple[Any, Any] | None:
    """The ends of a cell's 95 % interval; None where it has none."""
    if column not in MEASURED or not MEASURED[column].interval or is_reason(row[column], column):
        return None
    ends = MEASURED[column].ends
    if any(is_reason(row[end], end) for end in ends):  # a number, but too few images for its ends
        return None
    low, high = ends
    return row[low], row[high]


def cell_text(row: Row, column: str) -> str:
    """A cell for people, with its 95 % interval where it has one: '5.13 [4.9, 5.4]'."""
    text, ends = readable(row[column], column), interval_of(row, column)
    if ends is None:
        return text
    low, high = (readable(end, column) for end in ends)
    return f"{text} [{low}, {high}]"


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [heads, *rows]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + " --- |" * len(heads), *text[1:]]) + "\n"


def markdown(table: pd.DataFrame) -> str:
    """The league in Markdown."""
    rows = ([cell_text(row, column) for column in HEADS] for _, row in table.iterrows())
    return markdown_table([*HEADS.values()], rows)


def best_cells(table: pd.DataFrame) -> set[tuple[int, str]]:
    """Index and column of the cells that are bold: the best number, and what ties with it.

    Models compete on one data set; in one extractor's features where a metric depends on them. All
    rows whose interval overlaps that of the best number are best. Without intervals nothing says
    whether a difference is one, so no number is.
    """
    best: set[tuple[int, str]] = set()
    models = table[table["model"] != CALIBRATION]
    for metric in metrics():
        group_by = ["dataset", "extractor"] if metric.of_extractor else ["dataset"]
        for column in metric.columns:
            if column.better == "none" or not column.interval:
                continue
            for _, group in models.groupby(group_by):
                numbers = pd.to_numeric(group[column.name], errors="coerce").dropna()
                if numbers.nunique() > 1:  # rows of one run, or of one first stage, are no rivals
                    ties = _ties(group.loc[numbers.index], numbers, column)
                    best |= {(int(i), column.name) for i in ties}
    return best


def _ties(rows: pd.DataFrame, numbers: pd.Series, column: Column) -> pd.Index:
    """The rows whose interval overlaps that of the best of `numbers`; none if that has none."""
    sign = 1 if column.better == "lower" else -1
    ends = sign * rows[list(column.ends)].apply(pd.to_numeric, errors="coerce")
    near, far = ends.min(axis=1), ends.max(axis=1)
    best = (sign * numbers == (sign * numbers).min()) & far.notna()
    ties: pd.Index = rows.index[best | (near < far[best].max())]
    return ties


def league_table(table: pd.DataFrame) -> dict[str, Any]:
    """The league as the page shows it.

    Returns:
        `heads` with their text, whether the column is hidden at first, and the value of its filter
        (None: it has no filter);
        `rows` of cells with their text, raw value, ends of the interval where they have one, and
        whether they are best or a reason; those of all but the first extractor are hidden at first;
        `constants`: the keys with the same value in all rows;
        the labels of the columns where `lower` and where `higher` values are better.
    """
    best = best_cells(table)
    varied = {name for name in KEYS if table[name].nunique() > 1}
    first = table["extractor"].iloc[0]
    rows = [
        {
            "calibration": row["model"] == CALIBRATION,
            "hidden": row["extractor"] != first,
            "cells": [
                {
                    "text": cell_text(row, column),
                    "raw": row[column],
                    "ends": interval_of(row, column),
                    "best": (i, column) in best,
                    "reason": is_reason(row[column], column),
                }
                for column in HEADS
            ],
        }
        for i, row in table.iterrows()
    ]
    ranked = {
        better: [column.label for column in MEASURED.values() if column.better == better]
        for better in ("lower", "higher")
    }
    heads = [
        {
            "text": head,
            "hidden": name not in FIRST and (name not in varied or name in FILTERED),
            "words": name in NAMES,
            "filter": {"variant": None, "extractor": first}.get(name, "") if name in KEYS else None,
        }
        for name, head in HEADS.items()
    ]
    constants = [f"{KEYS[name]} {table[name].iloc[0]}" for name in KEYS if name not in varied]
    return {"heads": heads, "rows": rows, "constants": constants, **ranked}


def explanations(settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """What readers should know about each metric and extractor: its heads and a text.

    Args:
        settings: the study's `evaluation:` and `likelihood:`, in one mapping.
    """
    texts = [
        {
            "heads": ", ".join(column.head for column in metric.columns),
            "text": metric.explanation.format(**settings),
        }
        for metric in metrics()
    ]
    for name in settings["extractors"]:
        texts.append({"heads": f"features of: {name}", "text": extractor(name).explanation})
    return texts
