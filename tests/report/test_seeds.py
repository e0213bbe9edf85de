"""Means and spreads over seeds, of leagues made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from genlab.config.evaluators import CALIBRATION
from genlab.report.league import COLUMNS, HEADS, NO_ENCODER, NO_MODEL
from genlab.report.seeds import OF_ROW, over_seeds

FIDS = {("b", 0): 10.0, ("b", 1): 12.0, ("b", 2): 17.0, ("a", 0): 3.0, ("a", 1): 3.0, ("a", 2): 3.0}


def league(fids: dict[tuple[str, int], float]) -> pd.DataFrame:
    """A league as it is read from league.csv: all text where a column has a reason in it."""
    common = dict.fromkeys(COLUMNS, "0.5") | {"dataset": "digits", "extractor": "classifier"}
    floor = common | {
        "model": CALIBRATION,
        "seed": 0,
        "sampler": "real",
        "fid": 1.0,
        "reconstruction_mse": NO_MODEL,
    }
    rows = [floor]
    for (model, seed), fid in fids.items():
        row = common | {"model": model, "seed": seed, "sampler": "ddim", "fid": fid}
        rows.append(row | {"train_seconds": 1000.0 + seed, "reconstruction_mse": NO_ENCODER})
    return pd.DataFrame(rows)


def test_each_row_is_the_mean_and_the_sample_s_standard_deviation() -> None:
    table = over_seeds(league(FIDS))
    assert table is not None
    assert table["heads"][:4] == [HEADS[column] for column in OF_ROW]
    # In the order of the league, without calibration rows
    texts = [[cell["text"] for cell in row] for row in table["rows"]]
    assert [row[:4] for row in texts] == [
        ["digits", "b", "ddim", "classifier"], ["digits", "a", "ddim", "classifier"],
    ]  # fmt: skip
    columns = {head: [row[i] for row in texts] for i, head in enumerate(table["heads"])}
    assert columns["FID"] == [f"13 ± {np.std([10, 12, 17], ddof=1):.3g}", "3 ± 0"]
    assert columns["MSE"] == [f"({NO_ENCODER})"] * 2
    assert columns["training s"] == ["1,001 ± 1"] * 2


@pytest.mark.parametrize("seeds", [0, 1])
def test_one_seed_has_no_spread(seeds: int) -> None:
    assert over_seeds(league({k: v for k, v in FIDS.items() if k[1] < seeds})) is None
