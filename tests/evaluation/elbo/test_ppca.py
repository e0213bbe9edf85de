"""Probabilistic PCA against torch, scikit-learn and its own integrals: gap = KL, to rounding."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear import correlated, fitted, stream
from sklearn.decomposition import PCA
from torch.distributions import MultivariateNormal, kl_divergence

from genlab.evaluation.elbo.bounds import iwae, iwae_curve
from genlab.evaluation.elbo.ppca import (
    PPCA,
    Gaussian,
    mean_field,
    shifted,
    spectrum,
    widened,
)


def as_torch(q: Gaussian) -> MultivariateNormal:
    return MultivariateNormal(q.mean, scale_tril=q.scale)


def imperfect(posterior: Gaussian) -> dict[str, Gaussian]:
    return {
        "exact": posterior,
        "mean field": mean_field(posterior),
        "shifted": shifted(posterior, 0.7),
        "widened": widened(posterior, 1.4),
    }


def test_log_density_is_that_of_torch() -> None:
    model, x = fitted(), correlated(20, 8, seed=1)
    covariance = model.weight @ model.weight.T + model.variance * torch.eye(8).double()
    expected = MultivariateNormal(model.mean, covariance).log_prob(x)
    torch.testing.assert_close(model.log_density(x), expected, rtol=1e-10, atol=1e-10)  # float64


def test_the_fit_is_that_of_scikit_learn() -> None:
    """Its PCA.score is pPCA's mean log-likelihood, with 1/(N-1) where the likelihood has 1/N."""
    x = correlated(400, 8)
    ours = float(fitted().log_density(x).mean())
    theirs = PCA(n_components=3, svd_solver="full").fit(x.numpy())
    # Covariances larger by 400/399 lower the mean log-likelihood by at most D (1/399)^2 / 4.
    assert ours == pytest.approx(theirs.score(x.numpy()), abs=2e-5)
    assert ours > theirs.score(x.numpy())  # for ours is the maximum
    assert fitted().variance == pytest.approx(theirs.noise_variance_ * 399 / 400, rel=1e-10)


def test_fewer_images_than_dimensions_make_the_same_fit() -> None:
    """scikit-learn's, which takes a singular value decomposition of the images themselves."""
    x, latent = correlated(30, 50), 3
    data = spectrum(x)
    theirs = PCA(n_components=29, svd_solver="full").fit(x.numpy())
    values = torch.from_numpy(theirs.explained_variance_) * 29 / 30
    torch.testing.assert_close(data.values[:29], values, rtol=1e-9, atol=0)  # float64
    cosines = (data.axes[:, :29] * torch.from_numpy(theirs.components_.T)).sum(dim=0)
    torch.testing.assert_close(cosines.abs(), torch.ones_like(cosines), rtol=1e-9, atol=0)
    model = PPCA.fit(data, latent, stream())
    assert model.variance == pytest.approx(float(values[latent:].sum()) / 47, rel=1e-9)
    # Maximum likelihood (Tipping & Bishop, equation 9): the mean of x' C^-1 x is D.
    log_det = values[:latent].log().sum() + 47 * math.log(model.variance)
    expected = -0.5 * (50 * math.log(2 * math.pi) + float(log_det) + 50)
    assert float(model.log_density(x).mean()) == pytest.approx(expected, rel=1e-9)


def test_no_neighbour_of_the_fit_is_likelier() -> None:
    """Maximum likelihood: any small change of W, the mean or sigma^2 lowers the sum."""
    x, model, random = correlated(400, 8), fitted(), stream(3)
    best = model.log_density(x).mean()
    for _ in range(20):
        weight, mean = (
            v + 0.05 * torch.randn(v.shape, generator=random, dtype=v.dtype)
            for v in (model.weight, model.mean)
        )
        assert PPCA(mean, model.weight, model.variance).log_density(x).mean() < best
        assert PPCA(model.mean, weight, model.variance).log_density(x).mean() < best
    for factor in (0.95, 1.05):
        assert PPCA(model.mean, model.weight, factor * model.variance).log_density(x).mean() < best


def test_the_rotation_changes_the_posterior_and_no_likelihood() -> None:
    x, data = correlated(20, 8, seed=1), spectrum(correlated(400, 8))
    one, other = (PPCA.fit(data, 3, stream(seed)) for seed in (0, 1))
    assert not torch.allclose(one.weight, other.weight, atol=0.1)
    torch.testing.assert_close(one.log_density(x), other.log_density(x), rtol=1e-10, atol=1e-10)


def test_bayes_rule_holds_at_every_z() -> None:
    """log p(x|z) + log p(z) - log p(z|x) is log p(x), wherever z is."""
    model, x = fitted(), correlated(6, 8, seed=1)
    u = 3 * torch.randn(50, 6, 3, dtype=torch.float64)
    weights = model.log_weight(x, model.posterior(x), u)
    expected = model.log_density(x).expand(50, -1)
    torch.testing.assert_close(weights, expected, rtol=1e-10, atol=1e-10)  # float64


def test_a_gaussians_density_and_kl_are_those_of_torch() -> None:
    posterior = fitted().posterior(correlated(5, 8, seed=1))
    z = torch.randn(7, 5, 3, dtype=torch.float64)
    for q in imperfect(posterior).values():
        torch.testing.assert_close(q.log_prob(z), as_torch(q).log_prob(z), rtol=1e-10, atol=1e-10)
        expected = kl_divergence(as_torch(q), as_torch(posterior))
        torch.testing.assert_close(q.kl(posterior), expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=20)
@given(
    dimensions=st.integers(4, 12), latent=st.integers(1, 3), seed=st.integers(0, 1000),
    name=st.sampled_from(["exact", "mean field", "shifted", "widened"]),
)  # fmt: skip
def test_the_gap_is_the_kl_to_the_posterior(
    dimensions: int, latent: int, seed: int, name: str
) -> None:
    """log p(x) - ELBO = KL(q || p(z|x)), the ELBO in closed form and by cubature.

    Wanted are 1e-3 nats; but for rounding in float64 there is no error at all.
    """
    model = PPCA.fit(spectrum(correlated(100, dimensions, seed)), latent, stream(seed))
    x = correlated(5, dimensions, seed + 1)
    posterior = model.posterior(x)
    q = imperfect(posterior)[name]
    for elbo in (model.elbo(x, q), model.elbo_by_cubature(x, q)):
        gap = model.log_density(x) - elbo
        torch.testing.assert_close(gap, q.kl(posterior), rtol=1e-8, atol=1e-8)


def test_kl_of_the_imperfect_posteriors() -> None:
    """The formulae in their docstrings; and no factorised Gaussian is nearer than mean_field's."""
    model, x = fitted(), correlated(4, 8, seed=1)
    posterior = model.posterior(x)
    known = {
        "shifted": 3 * 0.7**2 / 2,
        "widened": 3 * ((1.4**2 - 1) / 2 - math.log(1.4)),
    }
    for name, kl in known.items():
        result = imperfect(posterior)[name].kl(posterior)
        torch.testing.assert_close(result, torch.full_like(result, kl), rtol=1e-9, atol=0)
    best = mean_field(posterior)
    assert float(best.kl(posterior).min()) > 0.01  # the rotation left something to lose
    random = stream(5)
    for _ in range(20):
        factors = (0.1 * torch.randn(3, generator=random, dtype=torch.float64)).exp()
        other = Gaussian(best.mean, best.scale * factors)
        assert (other.kl(posterior) > best.kl(posterior)).all()


def test_iwae_rises_to_log_p() -> None:
    """L_1 is the ELBO; each K is above the one before; the last is within reach of log p(x)."""
    model, x = fitted(), correlated(8, 8, seed=1)
    q = widened(model.posterior(x), 1.4)
    u = torch.randn(40_000, 8, 3, generator=stream(), dtype=torch.float64)
    log_weights = model.log_weight(x, q, u)
    curve = iwae_curve(log_weights, [1, 2, 5, 20, 100, 1000])
    exact, elbo = float(model.log_density(x).mean()), float(model.elbo(x, q).mean())
    assert curve[0]["value"] == pytest.approx(elbo, abs=4 * curve[0]["error"])
    values = [point["value"] for point in curve]
    # From the same weights, a mean over groups of groups can't be less than one over groups.
    assert values == sorted(values)
    # The bias of L_K is -var(w / p(x)) / 2 K (Domke & Sheldon 2018), here less than 1 / K.
    assert exact - 1e-3 - 4 * curve[-1]["error"] < values[-1] < exact + 4 * curve[-1]["error"]
    assert exact - values[0] > 10 * (exact - values[-1])


def test_the_exact_posterior_needs_one_sample() -> None:
    model, x = fitted(), correlated(8, 8, seed=1)
    u = torch.randn(10, 8, 3, generator=stream(), dtype=torch.float64)
    result = iwae(model.log_weight(x, model.posterior(x), u), 1)
    # Every weight is p(x), so neither draws nor groups matter.
    assert result.value == pytest.approx(float(model.log_density(x).mean()), abs=1e-9)
    assert result.error < 1e-9


def test_the_error_of_a_bound_is_its_spread_over_seeds() -> None:
    model, x = fitted(), correlated(8, 8, seed=1)
    q = shifted(model.posterior(x), 0.7)
    result = [
        iwae(model.log_weight(x, q, torch.randn(200, 8, 3, generator=stream(seed)).double()), 10)
        for seed in range(200)
    ]
    values = torch.tensor([value for value, _ in result])
    errors = torch.tensor([error for _, error in result])
    # 200 values tell their standard deviation to 5 %; three of those.
    assert float(values.std()) == pytest.approx(float(errors.mean()), rel=0.15)
