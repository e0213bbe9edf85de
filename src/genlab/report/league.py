"""The league: every row of the study in one table.

A cell without a number says why: the reason stands in it, never an empty string.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pandas as pd

from genlab.config.base import read_yaml
from genlab.config.evaluators import CLASSIFIER, FLOOR
from genlab.config.families import FamilyConfig
from genlab.io.files import read_json
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import read_measured, read_metrics, row_origin, run_origin
from genlab.results.spec import RunSpec, read_run

COLUMNS = {
    "dataset": "data set",
    "model": "model",
    "variant": "variant",
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
    "reconstruction_fid": "rFID",
    "used_codes": "used codes",
    "bits_per_dim": "bits/dim",
    "bits_kind": "bits by",
    "elbo_bits_per_dim": "bits/dim by ELBO",
    "evaluations": "NFE",
    "seconds_per_image": "s/image",
    "computed_in": "drawn in",
    "parameters": "parameters",
    "images_seen": "images seen",
    "train_seconds": "training s",
    "samples": "N",
    "reference_images": "reference N",
}
"""Columns of league.csv, and how the tables for people call them."""

RECONSTRUCTION = [name for name in COLUMNS if name.startswith("reconstruction_")] + ["used_codes"]
NAMES = ("dataset", "model", "variant", "sampler", "extractor", "bits_kind", "computed_in")
NO_MODEL = "no model"
NO_ENCODER = "no encoder"
NO_CODES = "no codes"
TOO_FEW = "too few images"
NO_SAMPLES = "no prior"
NO_SAMPLER = "none"
NO_CLASSES = "one class"
TURNS = "classifier of turns"
"""The domain classifier of a data set with a single class (`genlab.models.classifier`)."""
NO_BOUND = {"exact": "exact", "ode": "no bound"}
"""What stands in the ELBO's column of a family that has another kind of bits/dim alone."""


def bits_of(family: FamilyConfig, measured: dict[str, Any]) -> dict[str, Any]:
    """The last kind of bits/dim of a run, and those of the ELBO; or why there are none.

    Args:
        measured: what the stage `likelihood` found, where the family has one.
    """
    if not family.likelihoods:
        reason = family.no_likelihood
        return {"bits_per_dim": reason, "bits_kind": "none", "elbo_bits_per_dim": reason}
    names = {"exact": "exact", "elbo": "ELBO", "iwae": f"IWAE-{measured['k']}", "ode": "ODE"}
    shown = family.likelihoods[-1]
    bounded = "elbo" in family.likelihoods
    elbo = measured["elbo"]["bits_per_dim"] if bounded else NO_BOUND[shown]
    return {
        "bits_per_dim": measured[shown]["bits_per_dim"],
        "bits_kind": names[shown],
        "elbo_bits_per_dim": elbo,
    }


Chain = list[tuple[RunFolder, FamilyConfig]]
"""A run, the run it builds on, and so on."""


def _chain(run: RunFolder) -> Chain:
    spec: RunSpec | None = read_run(run.config)
    chain = []
    while spec is not None:
        chain.append((run.study.run(run.dataset, spec.name, spec.seed), spec.model))
        spec = spec.first_stage
    return chain


def _of_run(chain: Chain) -> dict[str, Any]:
    """What holds for all rows of a run; the cost includes that of all it builds on."""
    run, family = chain[0]
    summaries = [read_measured(run.summary, run_origin(run)) for run, _ in chain]
    measured = read_measured(run.likelihood, run_origin(run)) if family.likelihoods else {}
    return {
        "variant": family.variant,
        "parameters": summaries[0]["parameters"],
        "images_seen": sum(summary["images"] for summary in summaries),
        "train_seconds": sum(read_json(run.cost)["train_seconds"] for run, _ in chain),
        **bits_of(family, measured),
    }


def _reconstruction(chain: Chain, extractor: str) -> dict[str, Any]:
    """What is lost by the model, or by the first one it builds on, that reconstructs.

    Whatever draws through a decoder is bounded by it.
    """
    for run, family in chain:
        if family.reconstructs:
            origin = run_origin(run)
            measured = read_measured(run.reconstructions / "metrics.json", origin)
            fid = read_measured(run.rfid, origin)[extractor]
            return {
                "reconstruction_mse": measured["reconstruction_mse"],
                "reconstruction_psnr": measured["reconstruction_psnr"],
                "reconstruction_fid": TOO_FEW if fid is None else fid,
                "used_codes": read_measured(run.summary, origin)["held_out"].get(
                    "used_codes", NO_CODES
                ),
            }
    return dict.fromkeys(RECONSTRUCTION, NO_ENCODER)


def extractor_name(run: RunFolder, extractor: str) -> str:
    """What the league calls the extractor of a run's features."""
    one_class = len(read_json(run.data.manifest)["classes"]) == 1
    return TURNS if extractor == CLASSIFIER and one_class else extractor


def _of_rows(run: RunFolder, names: dict[str, Any], chain: Chain) -> Iterator[dict[str, Any]]:
    """A mapping for each row and extractor of one run; floors have no chain of models."""
    for row, by_extractor in read_metrics(run).items():
        at = run.samples(row)
        cost = read_measured(at.cost, row_origin(at)) if chain else {}
        for extractor, metrics in by_extractor.items():
            below = _reconstruction(chain, extractor) if chain else {}
            measured = {k: NO_CLASSES if v is None else v for k, v in metrics.items()}
            where = {"sampler": row, "extractor": extractor_name(run, extractor)}
            yield names | where | cost | below | measured


def _rows(study: StudyFolder, content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One mapping for each data set, model, seed, sampler and extractor; floors first.

    A model that only reconstructs has a row which says that it draws no samples.
    """
    for dataset in content["datasets"]:
        if content["evaluation"]["floors"]:
            where = {"dataset": dataset, "model": FLOOR, "seed": 0}
            names = dict.fromkeys(COLUMNS, NO_MODEL) | {"bits_kind": "none"} | where
            yield from _of_rows(study.run(dataset, FLOOR, 0), names, [])
        for model, seed in product(content["models"], content["seeds"]):
            run = study.run(dataset, model, seed)
            chain = _chain(run)
            where = {"dataset": dataset, "model": model, "seed": seed}
            names = where | _of_run(chain)
            if chain[0][1].generates != "nothing":
                yield from _of_rows(run, names, chain)
                continue
            for extractor in content["evaluation"]["extractors"]:
                none = {"sampler": NO_SAMPLER, "extractor": extractor_name(run, extractor)}
                below = _reconstruction(chain, extractor)
                yield dict.fromkeys(COLUMNS, NO_SAMPLES) | names | none | below


def read_league(study: StudyFolder) -> pd.DataFrame:
    """The table, one row for each (data set, model, seed, sampler, extractor)."""
    content = read_yaml(study.config)
    table = pd.DataFrame(list(_rows(study, content)))
    return table[list(COLUMNS)]


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


def markdown(table: pd.DataFrame) -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(COLUMNS.values()) + " |", "|" + " --- |" * len(COLUMNS)]
    for _, row in table.iterrows():
        lines.append("| " + " | ".join(readable(row[c], c) for c in COLUMNS) + " |")
    return "\n".join(lines) + "\n"
