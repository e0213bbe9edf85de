"""The samplers' coefficients: pinned variances, and DDPM as the case eta = 1 of DDIM."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import StreamNoise
from torch import Tensor

from genlab.processes.gaussian import Denoiser, Prediction
from genlab.processes.schedules import SCHEDULES
from genlab.samplers import ddim, ddpm


def wavy(x: Tensor, t: Tensor) -> Tensor:
    """An arbitrary deterministic network."""
    return torch.sin(3 * x + t[:, None, None, None] / 300)


def make_denoiser(schedule: str, prediction: Prediction = "v") -> Denoiser:
    alpha_bar = torch.cumprod(1 - SCHEDULES[schedule](1000), dim=0)
    return Denoiser(wavy, alpha_bar, prediction)


# Tolerances of the pinned numbers are half a unit of their last digit.


@pytest.mark.parametrize(
    ("t", "variance", "half_unit"),
    [(0, 0, 1e-18), (1, 5.453e-5, 0.5e-8), (487, 0.00979, 0.5e-5), (999, 0.0200, 0.5e-4)],
)
def test_posterior_variance_has_the_published_numbers(
    t: int, variance: float, half_unit: float
) -> None:
    level = make_denoiser("linear").level
    assert ddpm.posterior(*level(t), *level(t - 1))[2] == pytest.approx(variance, abs=half_unit)


@pytest.mark.parametrize(
    ("t", "s", "variance"), [(420, 400, 0.14772), (980, 960, 0.32461), (999, -1, 0.0)]
)
def test_ddim_variance_has_the_published_numbers(t: int, s: int, variance: float) -> None:
    level = make_denoiser("linear").level
    assert ddim.noise_scale(1, *level(t), *level(s)) ** 2 == pytest.approx(variance, abs=0.5e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(data=st.data())
def test_posterior_is_bayes_rule(schedule: str, data: st.DataObject) -> None:
    """q(x_s | x_t, x_0) from the product of the two Gaussians q(x_t | x_s) q(x_s | x_0)."""
    level = make_denoiser(schedule).level
    t = data.draw(st.integers(1, 999))
    s = data.draw(st.integers(0, t - 1))
    (alpha_t, sigma_t), (alpha_s, sigma_s) = level(t), level(s)
    alpha = alpha_t / alpha_s
    step_variance = 1 - alpha**2  # of one jump from s to t on a variance-preserving path
    precision = 1 / sigma_s**2 + alpha**2 / step_variance
    expected = (alpha / step_variance / precision, alpha_s / sigma_s**2 / precision, 1 / precision)
    # 1 - alpha^2 cancels down to beta = 1e-5, which leaves 11 of float64's 16 digits.
    assert ddpm.posterior(alpha_t, sigma_t, alpha_s, sigma_s) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("steps", [1000, 37])
@pytest.mark.parametrize("prediction", get_args(Prediction))
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ddim_with_eta_1_is_ancestral_sampling(
    schedule: str, prediction: Prediction, steps: int
) -> None:
    """Fed the same noise, both walk the same way, state by state."""
    denoiser = make_denoiser(schedule, prediction)
    ancestral = ddpm.sample(denoiser, StreamNoise(0, 4), (1, 2, 2), steps=steps)
    implicit = ddim.sample(denoiser, StreamNoise(0, 4), (1, 2, 2), steps=steps, eta=1)
    for one, other in zip(ancestral, implicit, strict=True):
        # float64 throughout; the two ways to write a variance differ by its rounding, 1e-13
        torch.testing.assert_close(one.x, other.x, rtol=0, atol=1e-9)
        torch.testing.assert_close(one.x0, other.x0, rtol=0, atol=1e-9)
