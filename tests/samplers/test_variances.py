"""The samplers' coefficients: pinned variances, closed forms, and DDPM as the case eta = 1."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import PATHS, StreamNoise
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.processes.gaussian import Denoiser
from genlab.processes.paths import CLEAN, LinearPath, SubVPPath, VEPath, VPPath
from genlab.samplers import ddim, ddpm
from genlab.samplers.euler_maruyama import coefficients
from genlab.samplers.predictor_corrector import langevin


def level(path: str, index: int) -> tuple[float, float]:
    """(alpha, sigma) of index 0..999 of a discrete path; -1 is the clean image."""
    return PATHS[path].level((index + 1) / 1000).scalars()


# Tolerances of the pinned numbers are half a unit of their last digit.


@pytest.mark.parametrize(
    ("t", "variance", "half_unit"),
    [(0, 0, 1e-18), (1, 5.453e-5, 0.5e-8), (487, 0.00979, 0.5e-5), (999, 0.0200, 0.5e-4)],
)
def test_posterior_variance_has_the_published_numbers(
    t: int, variance: float, half_unit: float
) -> None:
    posterior = ddpm.reverse_step(*level("linear", t), *level("linear", t - 1))
    assert posterior[2] == pytest.approx(variance, abs=half_unit)


@pytest.mark.parametrize(
    ("t", "s", "variance"), [(420, 400, 0.14772), (980, 960, 0.32461), (999, -1, 0.0)]
)
def test_ddim_variance_has_the_published_numbers(t: int, s: int, variance: float) -> None:
    c = ddim.noise_scale(1, *level("linear", t), *level("linear", s))
    assert c**2 == pytest.approx(variance, abs=0.5e-5)


@pytest.mark.parametrize("path", PATHS)
@given(data=st.data())
def test_posterior_is_bayes_rule(path: str, data: st.DataObject) -> None:
    """q(x_s | x_t, x_0) from the product of the two Gaussians q(x_t | x_s) q(x_s | x_0)."""
    times = PATHS[path].time_of(torch.logspace(1.6, -1.6, 40, dtype=torch.float64)).tolist()
    later = data.draw(st.integers(1, 39))
    earlier = data.draw(st.integers(0, later - 1))
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (
        PATHS[path].level(times[i]).scalars() for i in (earlier, later)
    )
    alpha = alpha_t / alpha_s
    forward = sigma_t**2 - (alpha * sigma_s) ** 2  # the variance of x_t given x_s
    precision = 1 / sigma_s**2 + alpha**2 / forward
    expected = (alpha / forward / precision, alpha_s / sigma_s**2 / precision, 1 / precision)
    # sigma_t^2 - alpha^2 sigma_s^2 cancels by 1 % at worst, which leaves 14 of 16 digits.
    assert ddpm.reverse_step(alpha_t, sigma_t, alpha_s, sigma_s) == pytest.approx(
        expected, rel=1e-10
    )


def wavy(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
    """An arbitrary deterministic network."""
    return torch.sin(3 * x + 4 * t[:, None, None, None])


@pytest.mark.parametrize("spacing", ["uniform", "log-snr"])
@pytest.mark.parametrize("path", PATHS)
def test_ddim_with_eta_1_is_ancestral_sampling(path: str, spacing: Spacing) -> None:
    """Fed the same noise, both walk the same way, state by state, on every path."""
    denoiser = Denoiser(wavy, PATHS[path], "x0")
    ancestral = ddpm.sample(denoiser, StreamNoise(0, 4), (1, 2, 2), steps=37, spacing=spacing)
    implicit = ddim.sample(denoiser, StreamNoise(0, 4), (1, 2, 2), steps=37, spacing=spacing, eta=1)
    for one, other in zip(ancestral, implicit, strict=True):
        # float64 throughout; the two ways to write a variance differ by its rounding, 1e-13
        torch.testing.assert_close(one.x, other.x, rtol=0, atol=1e-9)
        torch.testing.assert_close(one.x0, other.x0, rtol=0, atol=1e-9)


def test_a_learned_variance_lies_between_the_two_fixed_ones() -> None:
    """-1 is the smaller, 1 the larger, 0 their geometric mean; a variance of 0 stays tiny."""
    learned = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    result = ddpm.step_std("learned", 0.04, 0.09, learned)
    assert isinstance(result, Tensor)
    torch.testing.assert_close(result**2, torch.tensor([0.04, 0.06, 0.09], dtype=torch.float64))
    none = ddpm.step_std("learned", 0.0, 0.0, learned)
    assert isinstance(none, Tensor)
    assert float(none.max()) <= 1.001e-10


@given(t=st.floats(0.01, 0.99))
def test_drift_and_diffusion_are_the_papers_(t: float) -> None:
    """f and g^2 of VP, subVP and VE (Song et al. 2021, equations 9, 11, 26-28), and of flows."""
    vp, ve = VPPath(), VEPath()
    at = torch.tensor(t, dtype=torch.float64)
    beta, b = float(vp.beta(at)), float(vp.integral(at))
    sigma = ve.level(at).scalars()[1]
    expected = {
        vp: (-beta / 2, beta),
        SubVPPath(): (-beta / 2, beta * (1 - math.exp(-2 * b))),
        ve: (0, sigma**2 * 2 * math.log(ve.level(1.0).scalars()[1] / 0.01)),
        LinearPath(): (-1 / (1 - t), 2 * t / (1 - t)),
    }
    for path, target in expected.items():
        assert coefficients(path, t) == pytest.approx(target, rel=1e-9)


@pytest.mark.parametrize("alpha", [1.0, 0.7])
def test_langevin_dynamics_settles_where_its_signal_to_noise_ratio_says(alpha: float) -> None:
    """At the variance sigma^2 (1 + alpha snr^2) of Gaussian noise, not quite its own.

    x <- (1 - e / sigma^2) x + sqrt(2 e) z keeps the variance s sigma^2 = sigma^2 /
    (1 - e / (2 sigma^2)). In many dimensions |z| / |score| = sigma / sqrt(s), so that
    e = 2 alpha snr^2 sigma^2 / s, and s = 1 + alpha snr^2.
    """
    sigma, snr = 3.0, 0.3
    noise = StreamNoise(0, 1)
    x = noise.normal(1, 100, 100)  # too small by far
    for _ in range(60):
        x = langevin(x, -x / sigma**2, noise.normal(1, 100, 100), snr, alpha)
    # Four standard errors of a variance in 10 000 draws
    error = 4 * math.sqrt(2 / 10_000)
    assert float(x.var()) / sigma**2 == pytest.approx(1 + alpha * snr**2, rel=error)


def test_langevin_steps_are_each_sample_s_own() -> None:
    """A sample of another score beside it changes nothing."""
    x, score, z = torch.randn(3, 2, 1, 4, 4, dtype=torch.float64)
    alone = langevin(x[:1], score[:1], z[:1], 0.16, 1.0)
    score[1] *= 100
    assert torch.equal(langevin(x, score, z, 0.16, 1.0)[:1], alone)


@pytest.mark.parametrize("path", PATHS)
def test_no_noise_is_left_or_added_on_the_way_to_the_clean_image(path: str) -> None:
    t = PATHS[path].time_of(torch.tensor(0.5, dtype=torch.float64)).item()
    levels = (*PATHS[path].level(t).scalars(), *PATHS[path].level(CLEAN).scalars())
    assert ddpm.reverse_step(*levels) == pytest.approx((0, 1, 0), abs=1e-15)
    assert ddim.noise_scale(1, *levels) == 0
