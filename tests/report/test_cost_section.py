"""Quality against cost: which rows no other one beats, and where the figures come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from standings import COPIES, PARTS, standing

from genlab.io.energy import NOT_MEASURED
from genlab.report.league import MEASURED, mean_cells
from genlab.report.pareto import on_front
from genlab.report.sections import cost
from genlab.report.sections.cost import COSTS, fronts, pareto_plot, uneven_times
from genlab.report.standings import front


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


ROWS = [
    standing("ddpm", "dpm", 8, milliseconds=200, train_seconds=60, evaluations=20),
    standing("ddpm", "ddim", 11, milliseconds=100, train_seconds=60, evaluations=10),
    standing("vae", "prior", 30, milliseconds=1, train_seconds=20, evaluations=1),
]


def test_a_cost_that_no_row_differs_in_has_no_front() -> None:
    """All models have the same size, and no energy was measured."""
    shown = {cost: [one.sampler for _, one in best] for cost, best in fronts(ROWS).items()}
    assert shown == {
        "seconds_per_image": ["prior", "ddim", "dpm"],
        "evaluations": ["prior", "ddim", "dpm"],
        "train_seconds": ["prior", "dpm"],  # ddim costs as much
    }


def test_a_row_that_copies_is_on_no_front_and_has_a_hollow_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be the best of all; one that copies parts is among the others."""
    thief = standing("thief", "prior", 1, milliseconds=0.1, copying=COPIES, p=1e-9)
    overfitted = standing("overfitted", "prior", 2, milliseconds=300, copying=PARTS, p=1e-9)
    rows = [thief, overfitted, *ROWS]
    expected = [one.name for _, one in front(ROWS, "seconds_per_image")] + [overfitted.name]
    assert [one.name for _, one in front(rows, "seconds_per_image")] == expected
    assert fronts(rows)["seconds_per_image"] == front(rows, "seconds_per_image")
    monkeypatch.setattr(cost, "png", lambda figure: figure)
    figure: Any = pareto_plot(rows)
    marks = {float(part.get_offsets()[0, 1]): part for part in figure.axes[0].collections}
    hollow = [fdr for fdr, part in marks.items() if not len(part.get_facecolors())]
    assert (hollow, len(marks)) == ([1], len(rows))
    plt.close(figure)


def test_the_mean_of_a_row_is_that_of_its_runs() -> None:
    """A reason in one run is that of the row; the verdict on copying is the worst one."""
    cells: dict[str, list[object]] = {name: [1.0, 3.0] for name in MEASURED}
    cells["train_joules"] = [NOT_MEASURED, 2.0]
    cells["copying"], cells["copying_p"] = [PARTS, COPIES], [1e-9, 1e-3]
    means = mean_cells(pd.DataFrame(cells))
    assert (means["fdr"], means["train_joules"]) == (2, NOT_MEASURED)
    assert (means["copying"], means["copying_p"]) == (COPIES, 1e-3)


def league(milliseconds: list[float]) -> pd.DataFrame:
    """The calibration row, a row of one model and three rows of another one, with these times."""
    return pd.DataFrame(
        {
            "dataset": "digits",
            "model": ["calibration", "vae", "ddpm", "ddpm", "ddpm"],
            "seed": [0, 0, 0, 0, 1],
            "milliseconds_per_evaluation": ["no model", *milliseconds],
        }
    )


def test_uneven_times_of_one_network_are_told() -> None:
    """10 and 14 ms within one run of ddpm; another seed's 20 ms are another run."""
    assert uneven_times(league([1.0, 10.0, 12.0, 20.0])) == []
    assert uneven_times(league([1.0, 10.0, 14.0, 20.0])) == ["ddpm (1.4 times)"]


def test_every_row_is_a_point_of_every_panel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "png", lambda figure: figure)
    rows = [replace(one, cells=one.cells | {"train_joules": one.fdr}) for one in ROWS]
    figure: Any = pareto_plot(rows)
    labels = [axis.get_xlabel() for axis in figure.axes]
    assert labels == ["s/image", "NFE", "training s", "training energy J"]
    for axis in figure.axes:
        points = np.concatenate([part.get_offsets() for part in axis.collections])
        assert sorted(points[:, 1]) == [8, 11, 30]
    plt.close(figure)
    assert set(COSTS) <= set(MEASURED)
