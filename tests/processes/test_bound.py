"""The variational bound's terms: against torch.distributions, the authors' formulas, mpmath."""

from __future__ import annotations

import math

import mpmath  # type: ignore[import-untyped]
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from genlab.processes.bound import (
    blocks,
    decoder_nats,
    log_mass,
    prior_nats,
    reverse_step_terms,
    step_nats,
)
from genlab.processes.gaussian import Prediction
from genlab.processes.paths import SCHEDULES, DiscretePath, linear_betas, with_zero_terminal_snr
from genlab.samplers.ddpm import reverse_step

SHAPE = (1, 3, 4)
GREYS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


def grey_images(n: int) -> Tensor:
    """Random grey values [n, *SHAPE] on [-1, 1]."""
    return GREYS[torch.randint(256, (n, *SHAPE))]


def test_a_term_is_the_kl_of_two_posteriors() -> None:
    """Of q(x_s|x_t,x_0) and the same with another x_0, as the samplers have it, at any x_t."""
    path = DiscretePath(SCHEDULES["linear"](50))
    x0, guess, x = grey_images(6), torch.rand(6, *SHAPE).double(), torch.randn(6, *SHAPE).double()
    index = torch.tensor([1, 2, 10, 30, 48, 49])
    result = step_nats(path, x0, index, Prediction(guess, x))
    for i, nats in enumerate(result):
        t, s = ((int(index[i]) + more) / 50 for more in (1, 0))
        from_x, from_x0, variance = reverse_step(*path.level(t).scalars(), *path.level(s).scalars())
        two = [Normal(from_x * x[i] + from_x0 * end[i], variance**0.5) for end in (x0, guess)]
        # 1 - alpha_t^2 / alpha_s^2 of .002 at the least keeps 13 of float64's 16 digits
        torch.testing.assert_close(nats, kl_divergence(*two).sum(), rtol=1e-9, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_terms_are_those_of_the_authors_with_a_learned_variance(schedule: str) -> None:
    """Nichol & Dhariwal's tables and normal_kl, written down from the betas, T of them at once."""
    betas = SCHEDULES[schedule](20)
    x0, guess = grey_images(20), torch.rand(20, *SHAPE).double()
    x, v = torch.randn(20, *SHAPE).double(), 2 * torch.rand(20, *SHAPE).double() - 1
    cumulative = torch.cumprod(1 - betas, dim=0)
    previous = torch.cat([torch.ones(1).double(), cumulative[:-1]])
    variance = betas * (1 - previous) / (1 - cumulative)
    coefficient = betas * previous.sqrt() / (1 - cumulative)
    other = (1 - previous) * (1 - betas).sqrt() / (1 - cumulative)
    logs = [torch.cat([variance[1:2], variance[1:]]).log(), betas.log()]
    clipped, large = (log[:, None, None, None] for log in logs)
    coefficient, other = coefficient[:, None, None, None], other[:, None, None, None]
    mean1, mean2 = (coefficient * end + other * x for end in (x0, guess))
    share = (v + 1) / 2
    log2 = share * large + (1 - share) * clipped
    kl = -1 + log2 - clipped + (clipped - log2).exp() + (mean1 - mean2) ** 2 * (-log2).exp()
    result = step_nats(DiscretePath(betas), x0, torch.arange(20), Prediction(guess, x, v))
    # Sums of 12 pixels; the posterior's variance keeps 12 digits or more
    torch.testing.assert_close(result[1:], kl.sum((1, 2, 3))[1:] / 2, rtol=1e-9, atol=0)
    first = decoder_nats(x0[:1], guess[:1], log2[:1]).sum()
    torch.testing.assert_close(result[0], first, rtol=1e-9, atol=0)


def test_a_learned_variance_ends_at_beta_and_at_the_posterior_s() -> None:
    """At 1 and -1; the KL of equal means is then that of the two variances alone."""
    betas = SCHEDULES["cosine"](40)
    path = DiscretePath(betas)
    levels = [path.level((i + 1) / 40).scalars() for i in range(40)]
    variances = [reverse_step(*levels[i], *levels[i - 1])[2] for i in range(1, 40)]
    small = torch.tensor(variances, dtype=torch.float64)
    index, x0 = torch.arange(1, 40), grey_images(39)
    for place, variance in ((1.0, betas[1:]), (-1.0, small)):
        v = torch.full_like(x0, place)
        nats = step_nats(path, x0, index, Prediction(x0, x0, v))
        two = Normal(0.0, small.sqrt()), Normal(0.0, variance.sqrt())
        # Logarithms of variances keep 12 digits, where beta~ and beta differ by 1e-2 or more
        torch.testing.assert_close(nats, 12 * kl_divergence(*two), rtol=1e-9, atol=1e-12)
    _, log_small, _ = reverse_step_terms(path, torch.arange(2))
    assert float(log_small[0]) == float(log_small[1])  # in place of a point's


@pytest.mark.parametrize("width", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("low", [-300.0, -40.0, -3.0, -0.0005, 0.1, 7.0, 299.0])
def test_the_mass_of_an_interval_however_far_out(low: float, width: float) -> None:
    """Against 60 digits."""
    with mpmath.workdps(60):
        low_, high_ = mpmath.mpf(low), mpmath.mpf(low) + mpmath.mpf(width)
        # erfc of the side where both are large keeps the difference exact
        sign = -1 if low_ + high_ > 0 else 1
        tails = [mpmath.erfc(-sign * end / mpmath.sqrt(2)) / 2 for end in (low_, high_)]
        expected = float(mpmath.log(abs(tails[1] - tails[0])))
    ends = torch.tensor([low, low + width], dtype=torch.float64)
    result = float(log_mass(ends[0], ends[1]))
    # The width is a difference of numbers of size `low`, and the log of Phi one of size low^2
    digits = 1e-15 * max(1.0, abs(low)) * max(1.0, abs(low)) / width + 1e-12
    assert result == pytest.approx(expected, rel=1e-12, abs=digits)


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, -4.0), (-0.99, -12.0), (0.7, 0.0)])
def test_the_decoder_gives_256_grey_values_all_its_mass(mean: float, log_variance: float) -> None:
    """And each the mass between its edges, by the cumulative distribution."""
    at = torch.tensor(mean).double()
    nats = decoder_nats(GREYS, at, torch.tensor(log_variance).double())
    assert float((-nats).exp().sum()) == pytest.approx(1, abs=1e-12)
    edges = Normal(at, math.exp(log_variance / 2)).cdf((GREYS[:-1] + GREYS[1:]) / 2)
    mass = torch.cat([edges, torch.ones(1)]) - torch.cat([torch.zeros(1), edges])
    torch.testing.assert_close((-nats).exp(), mass, rtol=0, atol=1e-14)


def test_gradients_reach_mean_and_variance_of_the_decoder_at_both_ends() -> None:
    mean = torch.zeros(256, dtype=torch.float64, requires_grad=True)
    log_variance = torch.full((256,), -10.0, dtype=torch.float64, requires_grad=True)
    decoder_nats(GREYS, mean, log_variance).sum().backward()
    assert mean.grad is not None and log_variance.grad is not None
    assert bool(mean.grad.isfinite().all()) and bool(log_variance.grad.isfinite().all())
    assert bool((mean.grad[GREYS > 0] < 0).all())  # whiter is better where it is white


@pytest.mark.parametrize("zero", [False, True])
def test_the_prior_term_is_the_kl_to_a_standard_normal(zero: bool) -> None:
    betas = linear_betas(20)
    path = DiscretePath(with_zero_terminal_snr(betas) if zero else betas)
    x0 = grey_images(3)
    alpha, sigma = path.level(1.0).scalars()
    expected = kl_divergence(Normal(alpha * x0, sigma), Normal(0.0, 1.0)).sum((1, 2, 3))
    torch.testing.assert_close(prior_nats(path, x0), expected, rtol=1e-9, atol=1e-15)
    assert bool((expected == 0).all()) == zero


@pytest.mark.parametrize("timesteps", [2, 50, 101, 1000])
@pytest.mark.parametrize("count", [1, 7, 64, 100, 1000])
def test_blocks_hold_every_timestep_once(timesteps: int, count: int) -> None:
    parts = blocks(timesteps, count)
    assert [i for part in parts for i in part] == list(range(timesteps))
    assert len(parts) == min(count, timesteps) and all(parts)
