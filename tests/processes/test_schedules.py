"""Noise schedules and spacings: pinned numbers of the papers, and properties for every T."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from denoising_diffusion_pytorch import denoising_diffusion_pytorch as lucidrains
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genlab.processes.paths import MAX_BETA, SCHEDULES, respaced, with_zero_terminal_snr

schedules = pytest.mark.parametrize("schedule", SCHEDULES)


def alpha_bar(schedule: str, timesteps: int) -> Tensor:
    return torch.cumprod(1 - SCHEDULES[schedule](timesteps), dim=0)


# Tolerances of the pinned numbers are half a unit of their last digit.


def test_linear_schedule_has_the_published_numbers() -> None:
    a = alpha_bar("linear", 1000)
    assert float(a[-1]) == pytest.approx(4.036e-5, abs=0.5e-8)
    assert float(((1 - a[-1]) / a[-1]).sqrt()) == pytest.approx(157.4, abs=0.05)
    assert float(a[499]) == pytest.approx(0.078587, abs=0.5e-6)
    betas = SCHEDULES["linear"](1000)
    assert (float(betas[0]), float(betas[-1])) == pytest.approx((1e-4, 0.02), rel=1e-12)


def test_cosine_schedule_has_the_published_numbers() -> None:
    a = alpha_bar("cosine", 1000)
    assert float(a[-1]) == pytest.approx(2.4e-9, abs=0.05e-9)
    assert float(((1 - a[-1]) / a[-1]).sqrt()) == pytest.approx(20291, abs=0.5)
    assert int((SCHEDULES["cosine"](1000) == MAX_BETA).sum()) == 1


@pytest.mark.parametrize("timesteps", [2, 50, 1000, 4000])
def test_cosine_schedule_is_its_closed_form(timesteps: int) -> None:
    """alpha_bar of index t is f(t + 1) / f(0), f the squared cosine; only the last is clipped."""
    t = (torch.arange(timesteps, dtype=torch.float64) + 1) / timesteps
    expected = torch.cos((t + 0.008) / 1.008 * torch.pi / 2) ** 2
    expected /= math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    # A product of thousands of float64 factors
    torch.testing.assert_close(
        alpha_bar("cosine", timesteps)[:-1], expected[:-1], rtol=1e-9, atol=0
    )


@pytest.mark.parametrize("timesteps", [2, 50, 1000, 4000])
def test_sigmoid_schedule_is_that_of_another_library(timesteps: int) -> None:
    """denoising-diffusion-pytorch's alpha_bar, whose two ends are rounded to float32."""
    expected = torch.cumprod(1 - lucidrains.sigmoid_beta_schedule(timesteps), dim=0)
    torch.testing.assert_close(alpha_bar("sigmoid", timesteps), expected, rtol=0, atol=1e-7)


def test_sigmoid_schedule_is_half_way_at_half_time() -> None:
    """The sigmoid between -3 and 3 is antisymmetric about its middle."""
    assert float(alpha_bar("sigmoid", 1000)[499]) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("timesteps", [50, 1000])
@schedules
def test_zero_terminal_snr_is_that_of_another_library(schedule: str, timesteps: int) -> None:
    """diffusers', which copies the paper's code; nothing is left at T, the first level stays."""
    betas = SCHEDULES[schedule](timesteps)
    result = with_zero_terminal_snr(betas)
    torch.testing.assert_close(result, rescale_zero_terminal_snr(betas), rtol=1e-12, atol=1e-15)
    assert float(result[-1]) == 1
    assert float(result[0]) == pytest.approx(float(betas[0]), abs=1e-15)  # 1 - (1 - beta)


@pytest.mark.parametrize("timesteps", [50, 100, 250])
def test_linear_schedule_ends_in_noise_at_every_length(timesteps: int) -> None:
    """Unscaled betas would leave alpha_bar_T = .60, .36, .08; scaled, less than at T = 1000.

    Less, because log(1 - beta) < -beta weighs the fewer, larger betas more.
    """
    assert float(alpha_bar("linear", timesteps)[-1]) < 4.036e-5


@schedules
@given(timesteps=st.integers(2, 1500))
def test_schedules_fall_from_image_to_noise(schedule: str, timesteps: int) -> None:
    """In float64, 0 < beta <= .999, and alpha_bar falls strictly within (0, 1) to nearly 0."""
    betas, a = SCHEDULES[schedule](timesteps), alpha_bar(schedule, timesteps)
    assert betas.dtype == torch.float64 and betas.shape == (timesteps,)
    assert bool((betas > 0).all()) and bool((betas <= MAX_BETA).all())
    assert bool((a > 0).all()) and float(a[0]) < 1 and bool((a.diff() < 0).all())
    # A single clipped beta leaves at most 1 - .999 of alpha_bar.
    assert float(a[-1]) <= 1 - MAX_BETA + 1e-12


def test_trailing_spacing_has_the_published_times() -> None:
    assert respaced(1000, 10) == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]
    assert respaced(1000, 1000) == list(range(999, -1, -1))
    assert respaced(1000, 1) == [999]


@given(timesteps=st.integers(1, 2000), data=st.data())
def test_spacing_is_even(timesteps: int, data: st.DataObject) -> None:
    """Times fall from T - 1 to the clean image (index -1) in gaps of floor or ceil of T / S."""
    steps = data.draw(st.integers(1, timesteps))
    times = [*respaced(timesteps, steps), -1]
    assert times[0] == timesteps - 1 and len(times) == steps + 1
    gaps = {t - s for t, s in pairwise(times)}
    assert gaps <= {timesteps // steps, -(-timesteps // steps)}


@pytest.mark.parametrize("steps", [0, -1, 101])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.100"):
        respaced(100, steps)
