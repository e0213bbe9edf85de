"""Where steps are taken: the formulas of the papers, on every path."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from oracles import PATHS

from genlab.config.samplers import PathSpacing
from genlab.processes.paths import GaussianPath
from genlab.processes.spacing import step_times

paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))


def ratios(path: GaussianPath, steps: int, spacing: PathSpacing) -> list[float]:
    alpha, sigma = path.level(torch.tensor(step_times(path, steps, spacing), dtype=torch.float64))
    return (sigma / alpha).tolist()


@paths
@pytest.mark.parametrize("spacing", get_args(PathSpacing))
def test_times_fall_and_end_above_the_image(spacing: PathSpacing, path: GaussianPath) -> None:
    for steps in (1, 2, 20):
        result = torch.tensor(step_times(path, steps, spacing))
        assert len(result) == steps
        assert bool((result > 0).all()) and bool((result.diff() < 0).all())
        assert float(result.max()) <= path.t_max


@paths
def test_uniform_steps_are_even_and_the_next_would_be_the_image(path: GaussianPath) -> None:
    result = [*step_times(path, 20, "uniform"), 0.0]
    expected = [path.t_max * (20 - i) / 20 for i in range(21)]
    assert result == pytest.approx(expected, abs=1e-12 * path.t_max)


def test_quadratic_steps_are_squares() -> None:
    """DDIM (2010.02502), D.2: tau_i = c i^2."""
    assert step_times(PATHS["vp"], 4, "quadratic") == pytest.approx([1, 9 / 16, 4 / 16, 1 / 16])


def test_karras_levels_are_those_of_edm() -> None:
    """Karras et al. 2022, equation 5 with sigma from 80 to .002, rho = 7, N = 18.

    Its inner values by the formula written out; the ends as the paper gives them.
    """
    result = step_times(PATHS["edm"], 18, "karras")
    expected = [
        (80 ** (1 / 7) + i / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7 for i in range(18)
    ]
    assert result == pytest.approx(expected, rel=1e-12)
    assert (result[0], result[-1]) == pytest.approx((80, 0.002), rel=1e-12)
    # Half a unit of the last digit
    assert result[1] == pytest.approx(57.586, abs=5e-4)


@paths
def test_karras_and_log_snr_place_ratios_evenly_in_their_scales(path: GaussianPath) -> None:
    """First and last are the path's own ends; between, r^(1/7) or log r falls evenly."""
    scales: dict[PathSpacing, Callable[[float], float]] = {
        "karras": lambda r: r ** (1 / 7),
        "log-snr": math.log,
    }
    for spacing, scale in scales.items():
        result = ratios(path, 11, spacing)
        assert (result[-1], result[0]) == pytest.approx(path.ratios, rel=1e-9)
        scaled = [scale(r) for r in result]
        even = [scaled[0] + i / 10 * (scaled[-1] - scaled[0]) for i in range(11)]
        assert scaled == pytest.approx(even, rel=1e-9)


@pytest.mark.parametrize("spacing", get_args(PathSpacing))
def test_no_steps_are_refused(spacing: PathSpacing) -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        step_times(PATHS["vp"], 0, spacing)


def test_more_steps_than_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.\.1000"):
        step_times(PATHS["cosine"], 1001, "uniform")
