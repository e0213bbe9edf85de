"""The paths: their levels against the papers, and what must hold on every one of them."""

from __future__ import annotations

import math

import pytest
import torch
from oracles import PATHS
from torch import Tensor

from genlab.processes.paths import (
    CLEAN,
    SCHEDULES,
    DiscretePath,
    EDMPath,
    GaussianPath,
    SubVPPath,
    VEPath,
    VPPath,
)

paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))


def times_between(path: GaussianPath, n: int = 997) -> Tensor:
    """float64 [n] from t_min to t_max, denser near the image."""
    share = torch.linspace(0, 1, n, dtype=torch.float64)
    return path.t_min + (path.t_max - path.t_min) * share**2


@paths
def test_the_image_lies_at_time_0_and_noise_grows_with_time(path: GaussianPath) -> None:
    assert path.level(CLEAN).scalars() == (1.0, 0.0)
    alpha, sigma = path.level(times_between(path))
    assert alpha.dtype == sigma.dtype == torch.float64
    assert bool((alpha >= 0).all()) and bool((alpha.diff() <= 0).all())
    assert bool((sigma > 0).all()) and bool((sigma.diff() > 0).all())
    assert float(alpha[0]) == pytest.approx(1, abs=2e-4)  # sigmoid's first beta is 3e-4


@paths
def test_the_image_and_later_times_go_together(path: GaussianPath) -> None:
    """A tensor of times, one of them CLEAN, has the levels of its times one by one."""
    t = torch.tensor([path.t_max, CLEAN, path.t_min], dtype=torch.float64)
    alpha, sigma = path.level(t)
    assert [*zip(alpha.tolist(), sigma.tolist(), strict=True)] == [
        path.level(at).scalars() for at in t.tolist()
    ]


@paths
def test_time_of_inverts_the_ratio(path: GaussianPath) -> None:
    t = times_between(path)
    alpha, sigma = path.level(t)
    # As near to 0 as time is told by (1 - alpha_bar, say), float64 keeps ten digits of it.
    torch.testing.assert_close(path.time_of(sigma / alpha), t, rtol=1e-8, atol=1e-14)


@paths
def test_steps_are_placed_within_the_times_of_the_path(path: GaussianPath) -> None:
    low, high = path.ratios
    assert 0.002 <= low < high <= 160
    times = path.time_of(torch.tensor([low, high], dtype=torch.float64))
    assert path.t_min * (1 - 1e-12) <= float(times[0]) < float(times[1]) <= path.t_max * (1 + 1e-12)


@paths
def test_rates_are_the_derivatives_of_the_levels(path: GaussianPath) -> None:
    """As autograd has them; within a segment of a discrete path, whose angle bends at levels."""
    t = times_between(path)
    if isinstance(path, DiscretePath):
        t = ((t[:-1] * 1000).floor() + 0.5) / 1000  # amid two levels
    t.requires_grad_()
    for level, rate in zip(path.level(t), path.rates(t), strict=True):
        derivative = torch.zeros_like(t)
        if level.requires_grad:  # alpha is constant on VE's and EDM's
            (derivative,) = torch.autograd.grad(level.sum(), t, retain_graph=True)
        torch.testing.assert_close(rate, derivative, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_discrete_path_does_not_move_before_its_first_level(schedule: str) -> None:
    """Finite differences of the levels; at the first level they are those of what follows."""
    path, h = DiscretePath(SCHEDULES[schedule](50)), 1e-7
    t = torch.tensor([0.2, 0.9, 1.5, 7.3], dtype=torch.float64) / 50
    for before, after, rate in zip(
        path.level(t - h), path.level(t + h), path.rates(t), strict=True
    ):
        torch.testing.assert_close(rate, (after - before) / (2 * h), rtol=1e-4, atol=1e-6)
    assert path.rates(t[:2]).sigma.tolist() == [0, 0]
    at_level, later = path.rates(torch.tensor([1.0, 1.01], dtype=torch.float64) / 50).sigma.tolist()
    assert at_level == pytest.approx(later, rel=0.01) and later > 0


def coefficients(path: GaussianPath, t: Tensor) -> tuple[Tensor, Tensor]:
    """f and g^2 of dx = f x dt + g dw, at times t (Lu et al. 2022, 2206.00927, section 2.1)."""
    (alpha, sigma), rates = path.level(t), path.rates(t)
    f = rates.alpha / alpha
    return f, 2 * sigma * rates.sigma - 2 * f * sigma**2


def test_the_paths_of_the_three_sdes_have_their_papers_coefficients() -> None:
    """Song et al. 2021 (2011.13456), equations 25, 30 and 9 with B of appendix C."""
    t = torch.linspace(0.01, 1, 100, dtype=torch.float64)
    beta = 0.1 + 19.9 * t
    integral = 0.1 * t + 19.9 * t**2 / 2
    f, g2 = coefficients(VPPath(), t)
    torch.testing.assert_close(f, -beta / 2, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(g2, beta, rtol=1e-9, atol=1e-12)
    f, g2 = coefficients(SubVPPath(), t)
    torch.testing.assert_close(f, -beta / 2, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(g2, beta * (1 - (-2 * integral).exp()), rtol=1e-9, atol=1e-12)
    f, g2 = coefficients(VEPath(), t)
    assert not f.any()
    sigma = 0.01 * 5000**t
    torch.testing.assert_close(g2, sigma**2 * 2 * math.log(5000), rtol=1e-9, atol=1e-12)


def test_ends_of_the_continuous_paths() -> None:
    """Anchors: exp(-B(1) / 2) with B(1) = 10.05; sigma from .01 to 50; the line's halfway."""
    assert VPPath().level(1.0).scalars() == pytest.approx((math.exp(-5.025), 1), abs=3e-5)
    assert SubVPPath().level(1.0).sigma == pytest.approx(1 - math.exp(-10.05), rel=1e-12)
    assert [float(VEPath().level(t).sigma) for t in (1e-9, 1.0)] == pytest.approx([0.01, 50])
    assert PATHS["flow"].level(0.5).scalars() == (0.5, 0.5)
    assert EDMPath().level(3.0).scalars() == (1.0, 3.0)
    assert [PATHS[name].prior_std(PATHS[name].t_max) for name in ("ve", "edm", "vp")] == [
        pytest.approx(50), 80, 1,
    ]  # fmt: skip


def test_edm_tells_its_network_the_logarithm_of_the_level() -> None:
    """1000 c_noise, c_noise = ln(sigma) / 4 (Karras et al. 2022, table 1)."""
    sigma = torch.tensor([0.002, 1.0, 80.0], dtype=torch.float64)
    expected = [250 * math.log(s) for s in (0.002, 1.0, 80.0)]
    assert EDMPath().conditioning(sigma).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("timesteps", [2, 50, 1000, 1733])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_discrete_path_passes_through_its_levels(schedule: str, timesteps: int) -> None:
    path = DiscretePath(SCHEDULES[schedule](timesteps))
    assert len(path) == timesteps
    t = torch.tensor([(i + 1) / timesteps for i in range(timesteps)], dtype=torch.float64)
    assert path.index(t).tolist() == list(range(timesteps))
    assert path.conditioning(t).tolist() == pytest.approx(
        [1000 * i / timesteps for i in range(timesteps)]
    )
    alpha, sigma = path.level(t)
    # An angle near pi / 2 has float64's last digit, 1e-16, as its error.
    torch.testing.assert_close(alpha, path.alpha_bar.sqrt(), rtol=0, atol=1e-15)
    torch.testing.assert_close(sigma, (1 - path.alpha_bar).sqrt(), rtol=1e-12, atol=0)


def test_a_discrete_path_keeps_its_variance_between_its_levels() -> None:
    alpha, sigma = PATHS["linear"].level(times_between(PATHS["linear"]))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha), rtol=1e-14, atol=0)


def test_nothing_of_the_image_is_left_at_zero_terminal_snr() -> None:
    """At the last level; just before it, the path is on its way there."""
    path = PATHS["zero-snr"]
    assert path.level(1.0).scalars() == (0.0, 1.0)
    rates = path.rates(torch.tensor(1.0, dtype=torch.float64))
    # From alpha_{T-1} to 0 within 1/T: sin of the last angle is nearly the angle.
    before = float(path.level(0.999).alpha)
    assert float(rates.alpha) == pytest.approx(-1000 * before, rel=1e-4)
    assert float(rates.sigma) == 0
    assert float(path.level(0.9995).alpha) == pytest.approx(before / 2, rel=1e-4)
