"""The stage `rank`: features of all rows to one ranking with intervals, ranking.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from genlab.config.calibration import KINDS, split_row
from genlab.config.evaluators import CALIBRATION
from genlab.config.study import Study
from genlab.evaluation.fd_ratio import Ratio, mean_ratio, ratio, real_distance
from genlab.evaluation.intervals import frechet_estimate
from genlab.evaluation.ranking import Contender, Rank, interval, rank, spread
from genlab.io.files import write_json
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_study
from genlab.results.stages import rows_of
from genlab.workflow.feature_files import features_origin, read_features, reference_features

Row = tuple[str, str]
"""Model and sampler."""
Ratios = dict[str, Ratio]
"""By space."""


def rank_rows(study: StudyFolder) -> None:
    """Write the ranking of every data set's rows: FDr, rank intervals, tiers, spreads.

    A dataset without a ranking, because it has too few images, has no rows in it.
    """
    settings = read_study(study.config)
    write_json(study.ranking, {name: _ranking(study, settings, name) for name in settings.datasets})


def _ranking(study: StudyFolder, settings: Study, dataset: str) -> dict[str, Any]:
    """The ranking of one data set's rows."""
    excluded = spaces_of_losses(settings)
    names = settings.evaluation.extractors
    spaces = {name: _Space.read(study, dataset, name, settings) for name in names}
    measured = {name: space for name, space in spaces.items() if space is not None}
    ranking = [name for name in measured if name not in excluded]
    facts = {"spaces": ranking, "excluded": excluded, "seeds": len(settings.seeds)}
    if not ranking:
        return {**facts, "rows": []}

    def ratios(model: str, row: str, seeds: Sequence[int]) -> list[Ratios]:
        """A row over its seeds, in every space."""
        return [
            {name: space.ratio(model, seed, row) for name, space in measured.items()}
            for seed in seeds
        ]

    rows = {
        (model, row): ratios(model, row, settings.seeds)
        for model in settings.models
        for row in rows_of(settings, model)
    }
    calibration = {
        (CALIBRATION, row): ratios(CALIBRATION, row, [0]) for row in rows_of(settings, CALIBRATION)
    }
    ranked = _ranked(rows, ranking)
    content = [
        {**_names(row), **_score(row[0], runs, ranking), **ranked.get(row, {})}
        for row, runs in {**calibration, **rows}.items()
    ]
    return {**facts, "samples": measured[ranking[0]].compared["test"], "rows": content}


def spaces_of_losses(settings: Study) -> dict[str, list[str]]:
    """Return the spaces that models of a study trained on, and those models.

    Such a space can't rank them: a loss in its features makes its distance small.
    """
    trained: dict[str, list[str]] = {}
    for name in settings.models:
        for space in settings.trained_on(name):
            trained.setdefault(space, []).append(name)
    return trained


@dataclass(frozen=True)
class _Space:
    """The real images of a data set in one feature space."""

    study: StudyFolder
    dataset: str
    name: str
    reference: dict[str, Any]
    """Features by split: `test` for rows that were made without held-out images, `train` for those
    that were made from them."""
    real: dict[str, float]
    """The distance of real images, by the split that is the reference."""
    compared: dict[str, int]
    """How many images of a row are compared, by the split that is the reference: no more than there
    are other real images."""

    @classmethod
    def read(cls, study: StudyFolder, dataset: str, name: str, settings: Study) -> _Space | None:
        """Read them; None where there are too few images for a Frechet distance."""
        reference = {
            split: reference_features(study, dataset, name, split)["features"]
            for split in ("train", "test")
        }
        others = {"test": reference["train"], "train": reference["test"]}
        compared = {
            split: min(settings.evaluation.samples, len(images)) for split, images in others.items()
        }
        real = {
            split: real_distance(reference[split], others[split], count)
            for split, count in compared.items()
        }
        if any(not value for value in real.values()):
            return None
        distances = {split: value for split, value in real.items() if value is not None}
        return cls(study, dataset, name, reference, distances, compared)

    def ratio(self, model: str, seed: int, row: str) -> Ratio:
        """Return the distance of a row, divided by that of real images."""
        at = self.study.run(self.dataset, model, seed).samples(row)
        origin = features_origin(self.study, self.dataset, self.name, at.samples)
        generated = read_features(at.features(self.name), origin)["features"]
        held_out = model == CALIBRATION and KINDS[split_row(row)[0]].origin == "held-out"
        split = "train" if held_out else "test"
        estimate = frechet_estimate(generated[: self.compared[split]], self.reference[split])
        assert estimate is not None  # as many images as those of `real`
        return ratio(estimate, self.real[split])


def _names(row: Row) -> dict[str, str]:
    return {"model": row[0], "sampler": row[1]}


def _contender(model: str, runs: list[Ratios], spaces: list[str]) -> Contender:
    """The scores of a row over its seeds, in the mean of `spaces`."""
    scores = [mean_ratio({name: run[name] for name in spaces}) for run in runs]
    return Contender(
        model,
        np.log([score.value for score in scores]),
        np.array([score.log_sampling for score in scores]),
        np.mean([score.of_reference / score.value for score in scores], axis=0),
    )


def _score(model: str, runs: list[Ratios], spaces: list[str]) -> dict[str, Any]:
    """FDr, its 95 % interval, its spreads, and the ratio in each space.

    Means over seeds are geometric, as that over spaces is: FDr is the geometric mean of the ratios.
    """
    row = _contender(model, runs, spaces)
    parts, (low, high) = spread(row), interval(row, [row])
    value = float(np.exp(row.mean))
    return {
        "fdr": value,
        "fdr_low": low,
        "fdr_high": high,
        "sd_training": None if parts.training is None else value * parts.training,
        "sd_sampling": value * parts.sampling,
        "sd_reference": value * parts.reference,
        "ratios": {name: float(np.exp(_contender(model, runs, [name]).mean)) for name in runs[0]},
    }


def _ranked(rows: Mapping[Row, list[Ratios]], spaces: list[str]) -> dict[Row, dict[str, Any]]:
    """Tier, rank interval and ties of each row; the two spaces that contradict each other."""
    contenders = [_contender(model, runs, spaces) for (model, _), runs in rows.items()]
    overall = rank(contenders)
    alone = {
        name: rank([_contender(model, runs, [name]) for (model, _), runs in rows.items()])
        for name in (spaces if len(spaces) > 1 else ())
    }
    result: dict[Row, dict[str, Any]] = {}
    names = list(rows)
    for i, row in enumerate(names):
        low, high = interval(contenders[i], contenders)
        places = {name: ranks[i] for name, ranks in alone.items()}
        result[row] = {
            "tier": overall[i].tier,
            "rank_low": overall[i].low,
            "rank_high": overall[i].high,
            "ties": [list(names[j]) for j in overall[i].ties],
            "fdr_low": low,
            "fdr_high": high,
            "contradiction": _contradiction(places),
        }
    return result


def _contradiction(places: Mapping[str, Rank]) -> list[str] | None:
    """The two spaces whose rank intervals of a row are furthest apart; None if all overlap."""
    gaps = {
        (a, b): max(places[b].low - places[a].high, places[a].low - places[b].high)
        for a, b in combinations(places, 2)
    }
    widest = max(gaps, key=lambda pair: gaps[pair], default=None)
    return list(widest) if widest and gaps[widest] > 0 else None
