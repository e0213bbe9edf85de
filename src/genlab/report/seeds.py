"""What the seed changes: each number of the league as its mean and spread over the seeds."""

from __future__ import annotations

from typing import Any

import pandas as pd

from genlab.config.layout import FLOOR
from genlab.report.league import COLUMNS, is_reason, readable

OF_ROW = ["dataset", "model", "sampler", "extractor"]
MEASURED = (
    "fid",
    "kid",
    "inception_score",
    "precision",
    "recall",
    "reconstruction_mse",
    "bits_per_dim",
    "train_seconds",
)


def _cell(values: pd.Series, column: str) -> str:
    """'mean ± standard deviation' of the runs' values, or why there are none."""
    first = values.iloc[0]
    if is_reason(first, column):
        return readable(first, column)
    numbers = pd.to_numeric(values)
    return f"{readable(numbers.mean(), column)} ± {numbers.std():.2g}"


def over_seeds(table: pd.DataFrame) -> dict[str, Any] | None:
    """Heads and rows of text, a row for each model and sampler; None where there is one seed.

    Standard deviations are those of single runs, estimated from as many as there are seeds (n - 1).

    Args:
        table: the league.
    """
    models = table[table["model"] != FLOOR]
    if models["seed"].nunique() < 2:
        return None
    rows = [
        [*map(str, where), *(_cell(runs[column], column) for column in MEASURED)]
        for where, runs in models.groupby(OF_ROW, sort=False)
    ]
    return {"heads": [COLUMNS[column] for column in (*OF_ROW, *MEASURED)], "rows": rows}
