"""What the seed changes: each number of the league as its mean and spread over the seeds."""

from __future__ import annotations

from typing import Any

import pandas as pd

from genlab.config.evaluators import FLOOR
from genlab.report.league import COLUMNS, NAMES, is_reason, readable

OF_ROW = ["dataset", "model", "sampler", "extractor"]
MEASURED = (
    "fid",
    "kid",
    "inception_score",
    "precision",
    "recall",
    "reconstruction_mse",
    "bits_per_dim",
    "bits_kind",
    "train_seconds",
)


def _cell(values: pd.Series, column: str) -> dict[str, Any]:
    """'mean ± standard deviation' of the runs' values, or why one of them has none."""
    reasons = [value for value in values if is_reason(value, column)]
    if reasons or column in NAMES:
        value = (reasons or list(values))[0]
        return {"text": readable(value, column), "raw": value, "reason": bool(reasons)}
    numbers = pd.to_numeric(values)
    spread = readable(numbers.std(), column)
    text = f"{readable(numbers.mean(), column)} ± {spread}"
    return {"text": text, "raw": numbers.mean(), "reason": False}


def over_seeds(table: pd.DataFrame) -> dict[str, Any] | None:
    """Heads and cells, a row for each model and sampler; None where there is one seed.

    Standard deviations are those of single runs, estimated from as many as there are seeds (n - 1).

    Args:
        table: the league.
    """
    models = table[table["model"] != FLOOR]
    if models["seed"].nunique() < 2:
        return None
    rows = [
        [_cell(runs[column], column) for column in (*OF_ROW, *MEASURED)]
        for _, runs in models.groupby(OF_ROW, sort=False)
    ]
    return {"heads": [COLUMNS[column] for column in (*OF_ROW, *MEASURED)], "rows": rows}
