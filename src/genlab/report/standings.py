"""The standings of a data set: every ranked row with its place, its score and its cost."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import compress

import numpy as np

from genlab.config.evaluators import CALIBRATION
from genlab.config.families import Condition
from genlab.config.study import Study
from genlab.evaluation.memorisation.copying import PARTS_VERDICT, WHOLE_VERDICT
from genlab.io.files import read_json
from genlab.report.league import in_features_of, mean_cells, readable, without_chance_copies
from genlab.report.pareto import on_front
from genlab.report.ranking import place
from genlab.report.study import ReportedStudy

Row = tuple[str, str]
"""Model and sampler."""


@dataclass(frozen=True)
class Standing:
    """One model with one sampler, in the mean over its training seeds."""

    model: str
    sampler: str
    group: str
    """The kind of model, which gives it its colour."""
    condition: Condition
    """What its samples were conditioned on."""
    tier: int
    rank: str
    """'3', or '2 to 5'."""
    fdr: float
    low: float
    high: float
    """The ends of the 95 % interval of `fdr`."""
    ties: frozenset[Row]
    """The rows that can't be told apart from it."""
    cells: dict[str, float | str] = field(repr=False)
    """Columns of the league, in the features of the first space: the mean, or why there is none."""

    @property
    def name(self) -> str:
        """The name for people: 'ddpm · dpm-10'."""
        return f"{self.model} · {self.sampler}"

    @property
    def row(self) -> Row:
        return self.model, self.sampler

    def number(self, column: str) -> float | None:
        """Return the value of a column of the league; None where there is no number."""
        value = self.cells[column]
        return None if isinstance(value, str) else value

    def text(self, column: str) -> str:
        """Return the value of a column as people read it."""
        return readable(self.cells[column], column)

    @property
    def copies(self) -> bool:
        """Whether the audit found copies of whole images in any run: then the row wins nothing.

        Verdicts are corrected for the number of audits (`without_chance_copies`).
        """
        return str(self.cells["copying"]).startswith(WHOLE_VERDICT)

    @property
    def copies_parts(self) -> bool:
        """Whether the audit found copied parts: the model overfits, but draws images of its own."""
        return str(self.cells["copying"]).startswith(PARTS_VERDICT)

    @property
    def milliseconds(self) -> float | None:
        """Wall-clock milliseconds per image."""
        seconds = self.number("seconds_per_image")
        return None if seconds is None else 1000 * seconds


@functools.lru_cache(maxsize=8)  # several sections ask for them
def read_standings(study: ReportedStudy, dataset: str) -> tuple[Standing, ...]:
    """Return the rows of a data set, the best score first; none where nothing could be ranked."""
    entry = read_json(study.folder.ranking)[dataset]
    if not entry["rows"]:
        return ()
    league = study.league[
        (study.league["dataset"] == dataset) & in_features_of(study.league, entry["spaces"][0])
    ]
    audited = without_chance_copies(league)
    runs = dict(iter(audited.groupby(["model", "sampler"], sort=False)))
    standings = []
    for row in sorted(entry["rows"], key=place):
        if "tier" not in row:  # a calibration row
            continue
        part = runs[row["model"], row["sampler"]]
        standings.append(
            Standing(
                model=row["model"],
                sampler=row["sampler"],
                group=study.settings.models[row["model"]].model.group,
                condition=condition_of(study.settings, row["model"], row["sampler"]),
                tier=row["tier"],
                rank=str(part["rank"].iloc[0]),
                fdr=row["fdr"],
                low=row["fdr_low"],
                high=row["fdr_high"],
                ties=frozenset((model, sampler) for model, sampler in row["ties"]),
                cells=mean_cells(part),
            )
        )
    return tuple(standings)


def condition_of(settings: Study, model: str, sampler: str) -> Condition:
    """Return what a row's samples are conditioned on: nothing, where the guidance scale is 0."""
    guidance = getattr(settings.samplers[sampler], "guidance", 1)
    return "nothing" if guidance == 0 else settings.models[model].model.condition


def best_of_each_model(standings: Sequence[Standing]) -> list[Standing]:
    """Return the best row of each model, the best model first."""
    first: dict[str, Standing] = {}
    for standing in standings:
        first.setdefault(standing.model, standing)
    return list(first.values())


def best_rows(study: ReportedStudy) -> set[tuple[str, str, str]]:
    """Return data set, model and sampler of the best row of each model.

    A model that isn't ranked has its first row here, as the calibration rows have none.
    """
    rows = {}
    for dataset in study.settings.datasets:
        for one in best_of_each_model(read_standings(study, dataset)):
            rows[dataset, one.model] = one.sampler
    for dataset, model, sampler in study.league[["dataset", "model", "sampler"]].to_numpy():
        if model != CALIBRATION:
            rows.setdefault((dataset, model), sampler)
    return {(dataset, model, sampler) for (dataset, model), sampler in rows.items()}


def rows_with_cost(standings: Sequence[Standing], cost: str) -> list[tuple[float, Standing]]:
    """Return the rows that have a number in a column of the league, each behind its number."""
    numbers = ((one.number(cost), one) for one in standings)
    return [(number, one) for number, one in numbers if number is not None]


def front(standings: Sequence[Standing], cost: str) -> list[tuple[float, Standing]]:
    """Return the rows on the Pareto front of FDr and a cost, from the cheapest to the best.

    Rows that copy training images are left out.

    Args:
        cost: a column of the league.

    Returns:
        Pairs of cost and row.
    """
    rows = [(number, one) for number, one in rows_with_cost(standings, cost) if not one.copies]
    costs = np.array([number for number, _ in rows])
    scores = np.array([one.fdr for _, one in rows])
    return sorted(compress(rows, on_front(costs, scores)), key=lambda pair: (pair[0], pair[1].fdr))


@dataclass(frozen=True)
class Winner:
    """The best row among those that serve a purpose."""

    purpose: str
    standing: Standing
    ties: list[Standing]
    """Rows that serve the purpose as well and can't be told apart from it."""
    others: int
    """Number of other rows that serve the purpose."""


def winners(standings: Sequence[Standing]) -> list[Winner]:
    """Return the best row of all, of those without a condition, of fast, of quickly trained ones.

    The limits of the last two are half of what the best row costs, to one significant digit. Rows
    that copy training images win nothing; there is no winner where all do.
    """
    standings = [one for one in standings if not one.copies]
    if not standings:
        return []
    result = [_winner("Best samples", standings)]
    best = result[0].standing
    if best.condition != "nothing":
        free = [one for one in standings if one.condition == "nothing"]
        result += [_winner("Best without caption or class", free)] if free else []
    purposes: tuple[tuple[Callable[[Standing], float | None], str], ...] = (
        (lambda one: one.milliseconds, "Best below {:g} ms an image"),
        (lambda one: one.number("train_seconds"), "Best below {:g} s of training"),
    )
    for cost, purpose in purposes:
        most = cost(best)
        if most is None:
            continue
        limit = float(f"{most / 2:.0e}")
        cheap = [one for one in standings if (cost(one) or limit) < limit]
        result += [_winner(purpose.format(limit), cheap)] if cheap else []
    return result


def _winner(purpose: str, eligible: Sequence[Standing]) -> Winner:
    """The first of rows that are sorted by their score."""
    best = eligible[0]
    ties = [one for one in eligible if one.row in best.ties]
    return Winner(purpose, best, ties, len(eligible) - 1)
