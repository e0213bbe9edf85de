"""The KL's three parts against quadrature in two dimensions, closed forms, and their sum."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear import stream
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from genlab.evaluation.elbo.decomposition import aggregate, decompose


def posteriors(n: int, latent: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """mu, logvar [n, L] whose dimensions are correlated over images."""
    random = stream(seed)
    mix = torch.tensor([[1.0, 0.8], [0.0, 0.6]]) if latent == 2 else torch.eye(latent)
    mu = torch.randn(n, latent, generator=random) @ mix
    return mu.double(), torch.randn(n, latent, generator=random).double() - 2


def mixture(mu: Tensor, logvar: Tensor) -> MixtureSameFamily:
    parts = Independent(Normal(mu, (logvar / 2).exp()), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(mu))), parts)


def test_the_aggregate_is_torch_s_mixture() -> None:
    mu, logvar = posteriors(30, 2)
    z = 2 * torch.randn(150, 2).double()
    joint, each = aggregate(z, mu, logvar)
    # torch's mixture weights are float32
    torch.testing.assert_close(joint, mixture(mu, logvar).log_prob(z), rtol=1e-5, atol=1e-5)
    for j in range(2):
        expected = mixture(mu[:, j : j + 1], logvar[:, j : j + 1]).log_prob(z[:, j : j + 1])
        torch.testing.assert_close(each[:, j], expected, rtol=1e-5, atol=1e-5)


def by_quadrature(mu: Tensor, logvar: Tensor) -> dict[str, float]:
    """The three terms in two dimensions, each as an integral over a grid on [-8, 8]^2."""
    axis = torch.linspace(-8, 8, 401).double()
    z = torch.cartesian_prod(axis, axis)
    h = 16 / 400
    joint, each = aggregate(z, mu, logvar)
    q, product = joint.exp() * h**2, each.sum(dim=1)
    line = [each[:, 0].reshape(401, 401)[:, 0], each[:, 1].reshape(401, 401)[0]]
    p = Normal(0.0, 1.0).log_prob(axis)
    entropy = 0.5 * (logvar + math.log(2 * math.pi) + 1).sum(dim=1).mean()
    return {
        "mutual_information": float(-(q * joint).sum() - entropy),
        "total_correlation": float((q * (joint - product)).sum()),
        "dimension_wise_kl": float(sum((log_q.exp() * (log_q - p)).sum() * h for log_q in line)),
    }


def test_the_terms_are_the_integrals() -> None:
    mu, logvar = posteriors(12, 2)
    result, exact = decompose(mu, logvar, 400, stream()), by_quadrature(mu, logvar)
    # The grid is finer than the narrowest Gaussian's width: its sum is right to many digits.
    assert sum(exact.values()) == pytest.approx(result["kl"], abs=1e-6)
    for name, value in exact.items():
        assert result[name]["error"] < 0.02
        assert result[name]["value"] == pytest.approx(value, abs=4 * result[name]["error"]), name
        assert value > 0.2  # so that a term that is left out would be noticed


def test_the_terms_of_a_gaussian_aggregate() -> None:
    """Where q(z) is a Gaussian N(0, C), as good as: mu ~ N(0, C - s^2 I), many images.

    Mutual information log|C| / 2 - L log s, total correlation -log|R| / 2 of the correlations R.
    """
    n, s2, random = 4000, 0.25, stream(1)
    covariance = torch.tensor([[1.0, 0.5], [0.5, 0.8]]).double()
    cholesky = torch.linalg.cholesky(covariance - s2 * torch.eye(2))
    mu = torch.randn(n, 2, generator=random).double() @ cholesky.T
    result = decompose(mu, torch.full((n, 2), math.log(s2)).double(), 2, random)
    c = covariance.diagonal()
    exact = {
        "mutual_information": 0.5 * float(torch.logdet(covariance)) - math.log(s2),
        "total_correlation": -0.5 * math.log(1 - 0.25 / 0.8),
        "dimension_wise_kl": 0.5 * float((c - 1 - c.log()).sum()),
    }
    for name, value in exact.items():
        # The 4000 mu have covariances of their own, off by some 1 / sqrt(4000) = 0.016.
        assert result[name]["value"] == pytest.approx(value, abs=0.05), name


@settings(max_examples=15)
@given(n=st.integers(2, 80), latent=st.integers(1, 5), seed=st.integers(0, 100))
def test_the_terms_sum_to_the_kl(n: int, latent: int, seed: int) -> None:
    """To that of the same draws exactly; to the closed form within the draws' error."""
    result = decompose(*posteriors(n, latent, seed), 400, stream(seed))
    names = ("mutual_information", "total_correlation", "dimension_wise_kl")
    total = sum(result[name]["value"] for name in names)
    assert total == pytest.approx(result["kl_of_draws"]["value"], abs=1e-9)  # float64
    # Five standard errors, estimated from 400 draws for at least two images
    assert total == pytest.approx(result["kl"], abs=5 * result["kl_of_draws"]["error"])
    dimensions = sum(dimension["value"] for dimension in result["dimensions"])
    assert dimensions == pytest.approx(result["dimension_wise_kl"]["value"], abs=1e-9)
    assert result["mutual_information"]["value"] <= math.log(n) + 1e-9
    if latent == 1:
        assert result["total_correlation"]["value"] == pytest.approx(0, abs=1e-9)


def test_images_told_apart_for_sure_have_the_most_information() -> None:
    """Far from each other: log N nats, at every draw."""
    mu = 50 * torch.arange(20.0).double()[:, None]
    result = decompose(mu, torch.zeros(20, 1).double(), 3, stream())
    assert result["mutual_information"]["value"] == pytest.approx(result["log_images"], abs=1e-9)


def test_a_collapsed_posterior_has_no_parts() -> None:
    zero = torch.zeros(20, 3).double()
    result = decompose(zero, zero, 2, stream())
    for name in ("mutual_information", "total_correlation", "dimension_wise_kl", "kl_of_draws"):
        assert result[name]["value"] == pytest.approx(0, abs=1e-9)
