"""Invented standings: rows of a ranking as the page reads them."""

from __future__ import annotations

from genlab.config.families import Condition
from genlab.evaluation.memorisation.copying import audit
from genlab.io.energy import NOT_MEASURED
from genlab.report.standings import Row, Standing

COPIES = audit([1e-10], 0.5).verdict
PARTS = audit([0.5], 1e-10).verdict


def standing(
    model: str,
    sampler: str,
    fdr: float,
    tier: int = 1,
    condition: Condition = "nothing",
    milliseconds: float = 10,
    train_seconds: float = 100,
    evaluations: float = 1,
    copying: str = "no sign of copying",
    p: float | str = 1.0,
    ties: set[Row] | None = None,
) -> Standing:
    cells = {
        "seconds_per_image": milliseconds / 1000, "train_seconds": train_seconds,
        "evaluations": evaluations, "copying": copying, "copying_p": p, "fdr": fdr,
        "parameters": 500, "recall": 0.5, "bits_per_dim": "no likelihood",
        "train_joules": NOT_MEASURED, "joules_per_image": NOT_MEASURED,
    }  # fmt: skip
    return Standing(
        model, sampler, "other", condition, tier, str(tier), fdr, 0.9 * fdr, 1.1 * fdr,
        frozenset(ties or ()), cells,
    )  # fmt: skip
