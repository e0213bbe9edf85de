"""Quality against cost: which rows no other one beats, and where the figures come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from genlab.config.evaluators import extractor
from genlab.evaluation.metrics import Column
from genlab.io.energy import NOT_MEASURED
from genlab.report.league import MEASURED
from genlab.report.pareto import on_front
from genlab.report.sections import cost
from genlab.report.sections.cost import (
    COSTS,
    QUALITY,
    cost_rows,
    fronts,
    pareto_plot,
    uneven_times,
)

FID = Column("fid", "FID", better="lower")


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_that_of_brute_force(seed: int) -> None:
    """Numbers of few digits, so that many are equal."""
    x, y = np.random.default_rng(seed).integers(0, 8, (2, 40)).astype(float)
    expected = [
        not any(
            x[j] <= x[i] and y[j] <= y[i] and (x[j] < x[i] or y[j] < y[i]) for j in range(len(x))
        )
        for i in range(len(x))
    ]
    assert on_front(x, y).tolist() == expected
    assert 0 < sum(expected) < len(x)


def league(**changes: list[object]) -> pd.DataFrame:
    """Four rows of two models and the calibration row, in the features of the classifier."""
    table = {
        "dataset": ["digits"] * 5,
        "model": ["calibration", "vae", "ddpm", "ddpm", "ddpm"],
        "sampler": ["real", "prior", "ddim", "dpm", "ddim"],
        "seed": [0, 0, 0, 0, 1],
        "extractor": [extractor("classifier").label(2)] * 5,
        "fid": [1.0, 30.0, 10.0, 8.0, 12.0],
        "seconds_per_image": ["no model", 0.001, 0.1, 0.2, 0.1],
        "evaluations": ["no model", 1, 10, 20, 10],
        "train_seconds": ["no model", 20, 60, 60, 60],
        "parameters": ["no model", 500, 500, 500, 500],
        "train_joules": ["no model", *[NOT_MEASURED] * 4],
        "joules_per_image": ["no model", *[NOT_MEASURED] * 4],
    }
    return pd.DataFrame(table | changes)


def test_rows_are_means_over_seeds_without_the_calibration_rows() -> None:
    rows = cost_rows(league(), "classifier", FID)
    assert rows[["model", "sampler", "fid"]].to_numpy().tolist() == [
        ["vae", "prior", 30], ["ddpm", "ddim", 11], ["ddpm", "dpm", 8],
    ]  # fmt: skip
    assert rows["train_joules"].isna().all()


def test_a_cost_that_no_row_differs_in_has_no_front() -> None:
    """All models have the same size, and no energy was measured."""
    result = fronts(cost_rows(league(), "classifier", FID), FID)
    assert list(result) == ["seconds_per_image", "evaluations", "train_seconds"]
    assert list(result["evaluations"]["sampler"]) == ["prior", "ddim", "dpm"]
    assert list(result["train_seconds"]["sampler"]) == ["prior", "dpm"]  # ddim costs as much


def test_higher_may_be_better() -> None:
    rows = cost_rows(league(), "classifier", FID)
    result = fronts(rows, Column("fid", "recall", better="higher"))
    assert list(result["evaluations"]["sampler"]) == ["prior"]


def test_the_score_of_the_ranks_is_the_quality() -> None:
    assert MEASURED[QUALITY].better == "lower"


def test_uneven_times_of_one_network_are_told() -> None:
    """10 and 14 ms within one run of ddpm; another seed's 20 ms are another run."""
    even = league(milliseconds_per_evaluation=["no model", 1.0, 10.0, 12.0, 20.0])
    assert uneven_times(even) == []
    uneven = league(milliseconds_per_evaluation=["no model", 1.0, 10.0, 14.0, 20.0])
    assert uneven_times(uneven) == ["ddpm (1.4 times)"]


def test_every_row_is_a_point_of_every_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "png", lambda figure: figure)
    energy: dict[str, list[object]] = {"train_joules": ["no model", 5.0, 9.0, 9.0, 9.0]}
    figure: Any = pareto_plot(cost_rows(league(**energy), "classifier", FID), FID)
    labels = [axis.get_xlabel() for axis in figure.axes]
    assert labels == ["s/image", "NFE", "training s", "training energy J"]
    for axis in figure.axes:
        points = np.concatenate([part.get_offsets() for part in axis.collections])
        assert sorted(points[:, 1]) == [8, 11, 30]
    plt.close(figure)
    assert set(COSTS) <= set(league().columns)
