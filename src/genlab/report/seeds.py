"""The league over several seeds: mean and standard deviation of each number."""

from __future__ import annotations

from typing import Any

import pandas as pd

from genlab.config.evaluators import CALIBRATION
from genlab.report.league import HEADS, MEASURED, NAMES, mean_cell, readable

OF_ROW = ["dataset", "model", "sampler", "extractor"]
SHOWN = OF_ROW + [name for name, column in MEASURED.items() if column.over_seeds]


def _cell(values: pd.Series, column: str) -> dict[str, Any]:
    """'mean ± standard deviation' of the runs' values, or the reason why one of them has none."""
    mean = mean_cell(values, column)
    text = readable(mean, column)
    if isinstance(mean, str):
        return {"text": text, "raw": mean, "reason": column not in NAMES}
    text += f" ± {readable(pd.to_numeric(values).std(), column)}"
    return {"text": text, "raw": mean, "reason": False}


def over_seeds(table: pd.DataFrame) -> dict[str, Any] | None:
    """Heads and cells, one row for each model and sampler; None where there is only one seed.

    Standard deviations are those of single runs, with n - 1 in the denominator for n seeds.

    Args:
        table: the league.
    """
    models = table[table["model"] != CALIBRATION]
    if models["seed"].nunique() < 2:
        return None
    rows = [
        [_cell(runs[column], column) for column in SHOWN]
        for _, runs in models.groupby(OF_ROW, sort=False)
    ]
    return {"heads": [HEADS[column] for column in SHOWN], "rows": rows}
