"""HMC leaves its target alone and turns back; AIS and BDMC find log p(x) where it is known."""

from __future__ import annotations

import math

import pytest
import torch
from linear import LinearVAE, correlated, fitted, stream
from torch import Tensor

from genlab.evaluation.elbo.ais import (
    Schedule,
    anneal,
    inverse_temperatures,
    lower_bound,
    tune,
    upper_bound,
)
from genlab.evaluation.elbo.hmc import Point, Target, leapfrog, make_target, transition
from genlab.models.vae import log_weight
from genlab.nn.densities import log_mean_exp

IMAGES = 6


def images(n: int = IMAGES) -> Tensor:
    return correlated(n, 8, seed=1)[:, None, None]


def linear_target(model: LinearVAE, x: Tensor, from_prior: bool = False) -> Target:
    mu, logvar = model.encode(x)
    if from_prior:
        mu, logvar = torch.zeros_like(mu), torch.zeros_like(logvar)
    return make_target(log_weight(model, x, mu, logvar))


def draws(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=stream(seed), dtype=torch.float64)


def test_the_force_is_the_gradient_of_the_density() -> None:
    target = linear_target(LinearVAE(fitted()), images())
    u, beta = draws(4, IMAGES, 3), 0.3
    for j in range(3):
        h = torch.zeros(3, dtype=torch.float64)
        h[j] = 1e-5
        slope = (target(u + h).log_density(beta) - target(u - h).log_density(beta)) / 2e-5
        # Central differences of a quadratic are exact; 1e-16 * |log f| / 1e-5 is rounding.
        torch.testing.assert_close(target(u).force(beta)[..., j], slope, rtol=1e-6, atol=1e-6)


def test_leapfrog_turns_back() -> None:
    target = linear_target(LinearVAE(fitted()), images())
    point, momentum, step = (
        target(draws(4, IMAGES, 3)),
        draws(4, IMAGES, 3, seed=1),
        torch.tensor(0.2),
    )
    end_point, end_momentum = leapfrog(target, point, momentum, 0.7, step, 9)
    back, momentum_back = leapfrog(target, end_point, -end_momentum, 0.7, step, 9)
    assert float((end_point.u - point.u).norm(dim=-1).min()) > 0.1  # it had gone somewhere
    torch.testing.assert_close(back.u, point.u, rtol=1e-10, atol=1e-10)  # float64
    torch.testing.assert_close(momentum_back, -momentum, rtol=1e-10, atol=1e-10)


def test_leapfrog_keeps_volume() -> None:
    """|det| of the Jacobian of (u, p) -> (u', p') is 1."""
    target, step = linear_target(LinearVAE(fitted()), images(1)), torch.tensor(0.3)

    def end(state: Tensor) -> Tensor:
        u, momentum = state.reshape(2, 1, 1, 3)
        end_point, end_momentum = leapfrog(target, target(u), momentum, 0.7, step, 3)
        return torch.cat([end_point.u.flatten(), end_momentum.flatten()])

    state, h = draws(6), 1e-5 * torch.eye(6, dtype=torch.float64)
    jacobian = torch.stack([(end(state + d) - end(state - d)) / 2e-5 for d in h])
    # Forces are linear here, so that differences are exact but for rounding.
    assert float(torch.linalg.det(jacobian).abs()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_a_transition_leaves_the_target_as_it_is(beta: float) -> None:
    """Chains that start at draws of f_beta, a Gaussian here, have its moments after ten steps.

    The step is large, so that a third of the proposals is refused.
    """
    model, x, chains = LinearVAE(fitted()), images(1), 20_000
    target = linear_target(model, x)
    # log f_beta is quadratic: its Hessian and the zero of its force are the Gaussian's.
    zero, unit = torch.zeros(1, 1, 3).double(), torch.eye(3).double()
    force = target(zero).force(beta)[0, 0]
    precision = -torch.stack([target(e[None, None]).force(beta)[0, 0] - force for e in unit])
    covariance = torch.linalg.inv(precision)
    cholesky = torch.linalg.cholesky(covariance)
    start = covariance @ force + draws(chains, 1, 3) @ cholesky.T
    point, random, accepted = target(start), stream(1), []
    for _ in range(10):
        step = torch.full((1, 1, 1), 1.2, dtype=torch.float64)
        point, acceptance = transition(target, point, beta, step, 2, random)
        accepted.append(float(acceptance.mean()))
    assert 0.3 < sum(accepted) / 10 < 0.95
    assert float((point.u != start).double().mean()) > 0.99
    whitened = torch.linalg.solve_triangular(cholesky, (point.u[:, 0] - covariance @ force).T,
                                             upper=False)  # fmt: skip
    # Five standard errors of 20 000 draws for the mean and the second moments (variance 2).
    assert float(whitened.mean(dim=1).abs().max()) < 5 / chains**0.5
    assert float((whitened @ whitened.T / chains - unit).abs().max()) < 5 * (2 / chains) ** 0.5


def test_a_chain_finds_the_target_from_afar() -> None:
    """The moment test would also pass for a transition that never moves; this one would not."""
    target, random = linear_target(LinearVAE(fitted()), images(1)), stream()
    point = target(torch.full((500, 1, 3), 6.0, dtype=torch.float64))
    step = torch.full((1, 1, 1), 0.6, dtype=torch.float64)
    for _ in range(40):
        point, _ = transition(target, point, 0.0, step, 3, random)
    # N(0, I) by now: its mean of 1500 numbers has the standard error 0.026.
    assert abs(float(point.u.mean())) < 5 * 0.026


def test_a_wild_step_is_refused() -> None:
    """Overflow is no acceptance, and a point that is kept is kept whole."""
    target = linear_target(LinearVAE(fitted()), images())
    point = target(draws(4, IMAGES, 3))
    step = torch.full((1, IMAGES, 1), 1e200, dtype=torch.float64)
    kept, acceptance = transition(target, point, 1.0, step, 3, stream())
    assert float(acceptance.max()) == 0
    assert all(torch.equal(a, b) for a, b in zip(kept, point, strict=True))


def test_temperatures_rise_from_0_to_1() -> None:
    betas = inverse_temperatures(20)
    assert (len(betas), betas[0], betas[-1]) == (21, 0.0, 1.0)
    assert betas == sorted(set(betas))
    assert betas[10] == pytest.approx(0.5)


@pytest.mark.parametrize(("latents", "step"), [(1, 1.0), (16, 0.5)])
def test_step_sizes_are_tuned_from_the_scaling_of_hmc(latents: int, step: float) -> None:
    """L^(-1/4) keeps the acceptance where it is as dimensions grow (Beskos et al. 2013).

    From there its logarithm changes by half the distance of the acceptance, 0 to 1, from 0.65.
    """

    def target(u: Tensor) -> Point:  # N(0, I) at every temperature
        return Point(u, torch.zeros_like(u[..., 0]), torch.zeros_like(u))

    steps = tune(target, torch.zeros(4, latents).double(), 10, 1, stream()).steps
    assert steps.shape == (11, 1, 4, 1)
    assert steps[0].flatten().tolist() == [step] * 4
    growth = (steps[1:] / steps[:-1]).log()
    # A step of leapfrog is accepted with a probability near 1 here. 1e-9: rounding of float64.
    assert float(growth.max()) == pytest.approx(0.5 * (1 - 0.65), abs=1e-9)
    assert float(growth.min()) > -0.5 * 0.65


def annealed(
    model: LinearVAE, x: Tensor, from_prior: bool, chains: int, temperatures: int
) -> tuple[Target, Schedule, Tensor]:
    target, random = linear_target(model, x, from_prior), stream(2)
    schedule = tune(target, draws(len(x), 3), temperatures, 3, random)
    log_w, acceptance = anneal(target, draws(chains, len(x), 3, seed=3), schedule, 3, random)
    assert 0.4 < acceptance < 0.95  # tuned to 0.65 by a single chain for each image
    return target, schedule, log_w


@pytest.mark.parametrize(("from_prior", "temperatures"), [(False, 30), (True, 150)])
def test_ais_hits_log_p(from_prior: bool, temperatures: int) -> None:
    """From the encoder's q as well as from the prior, which is farther off, for every image."""
    model, x = LinearVAE(fitted(), shift=1.0), images()
    _, _, log_w = annealed(model, x, from_prior, 400, temperatures)
    exact, result = model.log_p(x), lower_bound(log_w)
    ratio = (log_w - exact).exp()
    error = ratio.std(dim=0) / 400**0.5  # of the mean weight, relative to p(x)
    assert float(error.max()) < 0.05
    # 4.5 standard errors for one of 12 images; log(1 + e) is e up to e^2.
    assert ((ratio.mean(dim=0) - 1).abs() < 4.5 * error).all()
    assert ((result - exact).abs() < 5 * error + error.square()).all()


def test_one_temperature_is_importance_sampling() -> None:
    model, x = LinearVAE(fitted()), images()
    target, u = linear_target(model, x), draws(50, IMAGES, 3)
    schedule = Schedule([0.0, 0.5, 1.0], torch.zeros(3, 1, IMAGES, 1).double())
    log_w, acceptance = anneal(target, u, schedule, 2, stream())
    # Steps of size 0 stay where they are and are always accepted.
    torch.testing.assert_close(log_w, target(u).log_weight, rtol=1e-10, atol=1e-10)
    assert acceptance == 1


@pytest.mark.parametrize(("from_prior", "temperatures"), [(False, 8), (True, 40)])
def test_the_sandwich_holds_the_truth(from_prior: bool, temperatures: int) -> None:
    """On data that the model made: forward chains below log p(x), backward ones above, both near.

    On average: chains of one image share the z that made it, so errors are those over images.
    """
    model, n, chains = LinearVAE(fitted(), shift=1.0), 1000, 2
    z = draws(n, 3, seed=9)
    x = model.draw(model.decode(z), stream(10))
    target, schedule, log_w = annealed(model, x, from_prior, chains, temperatures)
    mu, logvar = (torch.zeros_like(z),) * 2 if from_prior else model.encode(x)
    start = ((z - mu) / (logvar / 2).exp()).expand(chains, -1, -1)
    backward, _ = anneal(target, start, schedule, 3, stream(11), backward=True)
    for bounds in ((log_w, backward), (lower_bound(log_w)[None], upper_bound(backward)[None])):
        for slack in (model.log_p(x) - bounds[0], bounds[1] - model.log_p(x)):
            each = slack.mean(dim=0)
            error = float(each.std()) / n**0.5
            assert 4 * error < float(each.mean()) < 1  # a bound, on the right side, and no far one


def test_backward_chains_bound_from_above_on_average() -> None:
    """E[1 / w] = 1 / p(x) with a new z for every chain: the chains' start is p(z|x) itself."""
    model, x, chains = LinearVAE(fitted(), shift=1.0), images(), 400
    target, schedule, _ = annealed(model, x, True, 2, temperatures=150)
    posterior = model.ppca.posterior(x.flatten(1))
    start = posterior.at(draws(chains, IMAGES, 3, seed=5))  # from the prior u is z
    backward, _ = anneal(target, start, schedule, 3, stream(6), backward=True)
    ratio = (model.log_p(x) - backward).exp()
    error = ratio.std(dim=0) / chains**0.5
    assert ((ratio.mean(dim=0) - 1).abs() < 4.5 * error).all()
    assert float((backward.mean(dim=0) - model.log_p(x)).min()) > 0
    expected = -log_mean_exp(-backward, dim=0)
    assert torch.equal(upper_bound(backward), expected)
    assert math.isfinite(float(expected.sum()))
