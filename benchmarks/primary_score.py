"""Which score should rank? Candidates against four tests, on a finished study with a ladder.

    snakemake --cores all --configfile config/studies/ladder.yaml
    python benchmarks/primary_score.py results/ladder

A score that ranks must
1. get worse with every strength of every flaw (the calibration rows);
2. get better along the training of models that don't overfit (`curves:`);
3. change little with the training seed, against what separates models;
4. rank neither copies of training images nor the cheater, a generator that was trained on the
   Frechet distance in the classifier's features, before the honest models.
The last column repeats test 4 without the rows that the audit flags as copies: those can't win.
Prints a Markdown table. Candidates that a learning curve doesn't hold show "-" in test 2.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from genlab.config.calibration import KINDS
from genlab.config.evaluators import CALIBRATION
from genlab.evaluation.memorisation.copying import LEVEL
from genlab.io.files import read_json
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_study

Spaces = Mapping[str, float]
"""A number in each feature space."""
CHEATER, COPIES, REAL = "cheater", "memoriser", "real"


@dataclass(frozen=True)
class Candidate:
    """A score; lower is better."""

    name: str
    of_row: Callable[[pd.DataFrame], float]
    """From the league's lines of one row, indexed by extractor."""
    of_point: Callable[[pd.DataFrame], float] | None = None
    """From a point of a learning curve, one line for each extractor."""


def mean_ratio(
    column: str, real: Spaces, mean: Callable[[np.ndarray], float]
) -> Callable[[pd.DataFrame], float]:
    """The mean over spaces of `column`, divided by that of the real row."""
    return lambda lines: float(mean(np.array([lines[column][s] / real[s] for s in real])))


def geometric(x: np.ndarray) -> float:
    """The geometric mean."""
    return float(np.exp(np.log(x).mean()))


def candidates(league: pd.DataFrame, ranking: Mapping[str, object]) -> list[Candidate]:
    """All candidates that the league has the numbers of."""
    first = league["extractor"].iloc[0]
    spaces = list(league["extractor"].unique())
    rows = ranking["rows"]
    assert isinstance(rows, list)
    ratios = {(row["model"], row["sampler"]): row["ratios"] for row in rows}
    model = next(row for row in rows if row["model"] != CALIBRATION)
    lines = league[(league["model"] == model["model"]) & (league["sampler"] == model["sampler"])]
    held_out = lines.groupby("extractor")["fid_held_out"].agg(geometric)  # as the ratios are
    real = {s: held_out[s] / model["ratios"][s] for s in model["ratios"]}

    def by_ratio(mean: Callable[[np.ndarray], float]) -> Callable[[pd.DataFrame], float]:
        def score(lines: pd.DataFrame) -> float:
            key = (lines["model"].iloc[0], lines["sampler"].iloc[0])
            if key[0] == CALIBRATION:  # made of held-out images, some of them
                return mean(np.array(list(ratios[key].values())))
            return mean_ratio("fid_held_out", real, mean)(lines)

        return score

    def column(name: str, space: str, sign: int = 1) -> Callable[[pd.DataFrame], float]:
        return lambda lines: sign * float(lines[name][space])

    result = [
        Candidate("FD to training images, classifier", column("fid", first), column("fid", first)),
        Candidate(
            "FD to held-out images, classifier",
            column("fid_held_out", first),
            column("fid_held_out", first),
        ),
        Candidate("KID, classifier", column("kid", first), column("kid", first)),
        Candidate(
            "FDr, arithmetic mean over spaces",
            by_ratio(np.mean),
            mean_ratio("fid_held_out", real, np.mean),
        ),
        Candidate(
            "FDr, geometric mean over spaces",
            by_ratio(geometric),
            mean_ratio("fid_held_out", real, geometric),
        ),
    ]
    if "fld" in league:
        result.append(
            Candidate("FLD, mean over spaces", lambda lines: float(lines["fld"][spaces].mean()))
        )
    if "clipped_density" in league:
        result.append(
            Candidate(
                "Clipped Density x Coverage, mean over spaces",
                lambda lines: (
                    -float((lines["clipped_density"] * lines["clipped_coverage"])[spaces].mean())
                ),
            )
        )
    return result


def ladder_steps(scores: Mapping[tuple[str, str], float]) -> tuple[int, int, list[str]]:
    """How many steps of all ladders get worse, of how many, and the flaws with one that doesn't."""
    good, total, blind = 0, 0, []
    for kind, facts in KINDS.items():
        steps = [scores[CALIBRATION, row] for row in [REAL, *facts.rows(kind)] if facts.strengths]
        worse = [after > before for before, after in pairwise(steps)]
        good, total = good + sum(worse), total + len(worse)
        if not all(worse):
            blind.append(kind)
    return good, total, blind


def training_steps(
    study: StudyFolder, dataset: str, models: list[str], score: Callable[[pd.DataFrame], float]
) -> tuple[int, int]:
    """How many steps along all trainings get better, of how many."""
    good = total = 0
    for model in models:
        for seed in read_study(study.config).seeds:
            points = read_json(study.run(dataset, model, seed).curve)["points"]
            values = [score(pd.DataFrame(point["quality"]).T) for point in points]
            better = [after < before for before, after in pairwise(values)]
            good, total = good + sum(better), total + len(better)
    return good, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", type=Path, help="results/STUDY of a study with a ladder")
    study = StudyFolder(parser.parse_args().study)
    settings = read_study(study.config)
    (dataset,) = settings.datasets
    league = pd.read_csv(study.league)
    ranking = read_json(study.ranking)[dataset]
    honest = [name for name in settings.models if not settings.trained_on(name)]
    print(
        "| candidate | ladder steps | blind to | training steps | seeds / models | cheats ahead "
        "| not flagged |"
    )
    print("|---|---|---|---|---|---|---|")
    flagged = {
        row
        for row, p in league.groupby(["model", "sampler"])["copying_p"]
        if pd.to_numeric(p, errors="coerce").min() < LEVEL
    }
    for candidate in candidates(league, ranking):
        scores = {}
        by_seed: dict[tuple[str, str], list[float]] = {}
        for key, lines in league.groupby(["model", "sampler", "seed"]):
            value = candidate.of_row(lines.set_index("extractor", drop=False))
            by_seed.setdefault((key[0], key[1]), []).append(value)
        scores = {row: float(np.mean(values)) for row, values in by_seed.items()}
        good, total, blind = ladder_steps(scores)
        of_models = {row: values for row, values in by_seed.items() if row[0] in honest}
        within = np.mean([np.var(values, ddof=1) for values in of_models.values()])
        between = np.var([np.mean(values) for values in of_models.values()], ddof=1)
        best = min(np.mean(values) for values in of_models.values())
        cheats = {
            row: row[1] if row[0] == CALIBRATION else row[0]
            for row, value in scores.items()
            if (row[0] == CHEATER or row == (CALIBRATION, COPIES)) and value <= best
        }
        unnoticed = [name for row, name in cheats.items() if row not in flagged]
        steps = "-"
        if candidate.of_point:
            steps = "{} of {}".format(*training_steps(study, dataset, honest, candidate.of_point))
        print(
            f"| {candidate.name} | {good} of {total} | {', '.join(blind) or 'none'} | {steps} "
            f"| {np.sqrt(within / between):.2g} | {', '.join(cheats.values()) or 'none'} "
            f"| {', '.join(unnoticed) or 'none'} |"
        )


if __name__ == "__main__":
    main()
