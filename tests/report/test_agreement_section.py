"""The section on agreement: which scores it compares, on which rows."""

from __future__ import annotations

import pandas as pd
import pytest
from scipy.stats import kendalltau

from genlab.config.evaluators import CALIBRATION
from genlab.evaluation.metrics import metrics
from genlab.report.league import NO_SAMPLER, NO_SAMPLES
from genlab.report.sections.agreement import quality_scores

ROWS = [
    (CALIBRATION, "real", 0, 0.0),
    ("vae", "prior", 0, 9.0),
    ("vae", "prior", 1, 7.0),
    ("ddpm", "ddim", 0, 3.0),
    ("ddpm", "dpm", 0, 2.0),
    ("vqvae", NO_SAMPLER, 0, NO_SAMPLES),
]
"""Model, sampler, seed, and FID in the first space; in the second one it is 10 less that."""


def league() -> pd.DataFrame:
    """Models with different samplers, and a first stage that draws nothing, in two spaces."""
    names = [column.name for metric in metrics() for column in metric.columns]
    return pd.DataFrame(
        {
            **dict.fromkeys(names, "not measured"),
            "model": model,
            "sampler": sampler,
            "seed": seed,
            "extractor": space,
            "fid": fid if isinstance(fid, str) or space == "a" else 10 - fid,
            "recall": fid if isinstance(fid, str) else fid / 10,
        }
        for model, sampler, seed, fid in ROWS
        for space in "ab"
    )


def test_models_with_different_samplers_are_compared_by_the_rows_they_have() -> None:
    scores = quality_scores(league())
    assert list(scores.index) == [("ddpm", "ddim"), ("ddpm", "dpm"), ("vae", "prior")]
    assert list(scores) == ["FID, a", "FID, b", "recall, a", "recall, b"]
    assert scores["FID, a"].tolist() == [-3, -2, -8]  # higher is better; the mean over seeds
    assert scores["FID, b"].tolist() == [-7, -8, -2]
    tau = scores.corr(method="kendall")
    assert tau.loc["FID, a", "FID, b"] == pytest.approx(-1)
    expected = kendalltau(scores["FID, a"], scores["recall, b"]).statistic
    assert tau.loc["FID, a", "recall, b"] == pytest.approx(expected)


def test_a_metric_without_a_number_in_some_row_is_left_out() -> None:
    table = league()
    table.loc[(table["model"] == "vae") & (table["extractor"] == "b"), "fid"] = "too few images"
    assert list(quality_scores(table)) == ["FID, a", "recall, a", "recall, b"]
