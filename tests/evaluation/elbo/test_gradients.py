"""Both gradient estimators are unbiased; the pathwise one scatters least, and more so in many L."""

from __future__ import annotations

import pytest
import torch
from linear import correlated, fitted, stream
from torch import Tensor

from genlab.evaluation.elbo.gradients import exact_gradient, gradient_estimates, spread
from genlab.evaluation.elbo.ppca import PPCA, Gaussian, mean_field, shifted

NAMES = ("pathwise", "pathwise, score dropped", "score function", "score function, baseline")


def settings(model: PPCA, x: Tensor) -> dict[str, Gaussian]:
    latent = model.weight.shape[1]
    start = Gaussian(torch.zeros(1, latent).double(), torch.eye(latent).double())
    return {"prior": start, "near": shifted(mean_field(model.posterior(x)), 0.5)}


def noise(estimates: int, draws: int, latent: int) -> Tensor:
    return torch.randn(estimates, draws, 1, latent, generator=stream(), dtype=torch.float64)


@pytest.mark.parametrize("place", ["prior", "near"])
def test_the_exact_gradient_is_autograd_s(place: str) -> None:
    """Of the closed-form ELBO in (m, log s)."""
    model, x = fitted(), correlated(1, 8, seed=1)
    q = settings(model, x)[place]
    m, log_s = q.mean[0].clone(), q.scale.diagonal().log()
    gradient = torch.autograd.functional.jacobian(
        lambda m, log_s: model.elbo(x, Gaussian(m[None], log_s.exp().diag())).sum(), (m, log_s)
    )
    expected = torch.cat(gradient)
    torch.testing.assert_close(exact_gradient(model, x, q), expected, rtol=1e-9, atol=1e-9)


def test_each_estimate_is_what_autograd_says() -> None:
    """Differentiating log w at m + s u; and log q at a fixed z, times f minus its baseline."""
    model, x = fitted(), correlated(1, 8, seed=1)
    q, u = settings(model, x)["near"], noise(1, 4, 3)
    parameters = (q.mean[0].clone(), q.scale.diagonal().log())
    z = q.at(u)
    f = model.log_weight(x, q, u).squeeze()  # [4]
    baselines = torch.stack([(f.sum() - f[k]) / 3 for k in range(4)])

    def path(m: Tensor, log_s: Tensor) -> Tensor:
        return model.log_weight(x, Gaussian(m[None], log_s.exp().diag()), u).mean()

    def score(weights: Tensor, m: Tensor, log_s: Tensor) -> Tensor:
        return (weights * Gaussian(m[None], log_s.exp().diag()).log_prob(z).squeeze()).mean()

    def landing(m: Tensor, log_s: Tensor) -> Tensor:
        z = Gaussian(m[None], log_s.exp().diag()).at(u)
        log_p = model.log_likelihood(x, z) + model.prior().log_prob(z)
        return (log_p - q.log_prob(z)).mean()

    expected = {
        "pathwise": path,
        "pathwise, score dropped": landing,
        "score function": lambda *theta: score(f, *theta),
        "score function, baseline": lambda *theta: score(f - baselines, *theta),
    }
    result = gradient_estimates(model, x, q, u)
    assert tuple(result) == NAMES
    for name, function in expected.items():
        gradient = torch.cat(torch.autograd.functional.jacobian(function, parameters))
        torch.testing.assert_close(result[name][0], gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("place", ["prior", "near"])
def test_all_are_unbiased(place: str) -> None:
    model, x = fitted(), correlated(1, 8, seed=1)
    q = settings(model, x)[place]
    exact = exact_gradient(model, x, q)
    for name, values in gradient_estimates(model, x, q, noise(20_000, 4, 3)).items():
        error = values.std(dim=0) / 20_000**0.5
        # 4.5 standard errors, for 48 comparisons in all
        assert ((values.mean(dim=0) - exact).abs() < 4.5 * error).all(), name


@pytest.mark.parametrize("place", ["prior", "near"])
def test_the_pathwise_estimator_scatters_least(place: str) -> None:
    model, x = fitted(), correlated(1, 8, seed=1)
    q = settings(model, x)[place]
    estimates = gradient_estimates(model, x, q, noise(4000, 8, 3))
    result = spread(estimates, exact_gradient(model, x, q))
    low, _, high, middle = (result[name] for name in NAMES)
    for a, b in ((low, middle), (middle, high)):
        # Apart by more than four times both errors
        assert a["variance"] + 4 * (a["variance_error"] + b["variance_error"]) < b["variance"]
    # The squared distance of a mean from its expectation averages variance / n; over 6 parameters
    # it is hardly ever more than four times that.
    assert all(row["bias"] < 2 * row["bias_error"] for row in result.values())


def test_variance_falls_as_one_over_the_draws() -> None:
    model, x = fitted(), correlated(1, 8, seed=1)
    q = settings(model, x)["near"]
    exact = exact_gradient(model, x, q)
    for name in NAMES[:3]:  # a baseline from few draws adds to the variance, so not the last
        few, many = (
            spread(gradient_estimates(model, x, q, noise(10_000, k, 3)), exact)[name]
            for k in (2, 16)
        )
        assert few["variance"] / many["variance"] == pytest.approx(8, rel=0.15)  # 3 % error each


def test_at_the_posterior_two_estimators_stand_still() -> None:
    """There f is log p(x) for every z: nothing to weigh the score by, and no slope."""
    model, x = fitted(latent=1), correlated(1, 8, seed=1)  # whose posterior any factorised q meets
    q = model.posterior(x)
    for name, values in gradient_estimates(model, x, q, noise(100, 4, 1)).items():
        still = name in ("pathwise, score dropped", "score function, baseline")
        assert (float(values.abs().max()) < 1e-9) == still, name


def test_spread_is_the_trace_of_the_covariance() -> None:
    values = torch.randn(500, 6, generator=stream(), dtype=torch.float64) + 2
    result = spread({"x": values}, torch.zeros(6).double())["x"]
    assert result["variance"] == pytest.approx(float(torch.cov(values.T).trace()), rel=1e-9)
    assert result["bias"] == pytest.approx(2 * 6**0.5, rel=0.1)  # and a bias is seen
    assert result["bias_error"] == pytest.approx((6 / 500) ** 0.5, rel=0.1)
