"""Likelihoods of pixels against torch.distributions, brute force sums and quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from genlab.nn.likelihoods import (
    Bernoulli,
    DiscretisedLogistic,
    Gaussian,
    Likelihood,
    PredictedLogistic,
)

GREYS = torch.arange(256, dtype=torch.float64) / 255


def logistic(log_scale: float) -> DiscretisedLogistic:
    """In float64, with this scale."""
    p = DiscretisedLogistic().double()
    torch.nn.init.constant_(p.log_scale, log_scale)
    return p


@given(mean=st.floats(0, 1), log_scale=st.floats(-9, 3))
@settings(max_examples=25)
def test_logistic_sums_to_one_over_the_grey_values(mean: float, log_scale: float) -> None:
    """Wherever its mean lies: the two bins at the ends are open."""
    p = logistic(log_scale)
    total = p.log_prob(GREYS, torch.tensor(mean, dtype=torch.float64)).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)  # 256 terms of float64


@given(mean=st.floats(0, 1), log_scale=st.floats(-4, 3))
@settings(max_examples=25)
def test_logistic_is_the_mass_between_the_edges_of_a_bin(mean: float, log_scale: float) -> None:
    """Salimans et al., equation 2, by the difference of two sigmoids as it is written there."""
    m = torch.tensor(mean, dtype=torch.float64)
    edges = torch.cat([GREYS - 1 / 510, GREYS[-1:] + 1 / 510])
    below = torch.sigmoid((edges - m) / math.exp(log_scale))
    below[0], below[-1] = 0, 1
    # The difference of two numbers near 1 keeps 16 digits of 1, and the sigmoids' arguments, up to
    # 1 / exp(-4) = 55, carry roundings of 55 * 2**-53 = 6e-15.
    torch.testing.assert_close(
        logistic(log_scale).log_prob(GREYS, m).exp(), below.diff(), rtol=0, atol=1e-14
    )


def test_logistic_is_finite_and_has_a_gradient_far_out_in_the_tail() -> None:
    """Where the difference of two float32 sigmoids is 0: a white pixel that should be black.

    exp(-9) is a 32nd of a bin; the log of a tail's mass falls with the distance by 1 / scale.
    """
    p = logistic(-9.0).float()
    mean = torch.zeros(3, requires_grad=True)
    log_p = p.log_prob(torch.tensor([0.5, 200 / 255, 1.0]), mean)
    log_p.sum().backward()
    assert log_p.isfinite().all() and bool((log_p < -4000).all())
    assert mean.grad is not None
    torch.testing.assert_close(mean.grad, torch.full((3,), math.exp(9)), rtol=1e-4, atol=0)


@pytest.mark.parametrize("sigma", [0.03, 1.0, None])
def test_gaussian_is_that_of_torch(sigma: float | None) -> None:
    p = Gaussian(sigma)
    images, means = torch.rand(2, 3, 4, 4, 4)
    expected = Normal(means, sigma if sigma else math.exp(-1)).log_prob(images)
    # float32 terms of up to (1 / .03)^2 / 2 = 600
    torch.testing.assert_close(p.log_prob(images, means), expected, rtol=1e-5, atol=1e-4)


def test_a_fixed_sigma_is_no_parameter_but_is_saved() -> None:
    assert list(Gaussian(0.1).parameters()) == []
    assert "log_sigma" in Gaussian(0.1).state_dict()
    assert len(list(Gaussian().parameters())) == 1


def test_bernoulli_is_that_of_torch() -> None:
    """For grey values as well, where it is a cross entropy and no probability."""
    images, logits = torch.rand(3, 1, 4, 4), 3 * torch.randn(3, 1, 4, 4)
    expected = TorchBernoulli(logits=logits, validate_args=False).log_prob(images)
    # float32 terms of size 1
    torch.testing.assert_close(Bernoulli().log_prob(images, logits), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", [Bernoulli(), Gaussian(0.1), Gaussian(), DiscretisedLogistic()])
def test_the_mean_maximises_the_likelihood_of_itself(
    p: Bernoulli | Gaussian | DiscretisedLogistic,
) -> None:
    """The mean image of a decoder's output is the image to which that output is the best answer."""
    raw = torch.linspace(-2, 2, 9)
    image = p.mean(p.link(raw))

    def fit(shift: float) -> Tensor:
        return p.log_prob(image, p.link(raw + shift))

    assert 0 < float(image.min()) < float(image.max()) < 1
    # For the logistic the mean isn't a grey value, so its bin's middle lies up to 1/510 off: a
    # shift of .1 moves a mean by at least .0095 here.
    assert bool((fit(0) > fit(0.1)).all()) and bool((fit(0) > fit(-0.1)).all())


@torch.no_grad()
@pytest.mark.parametrize(
    ("p", "values"),
    [
        (Bernoulli(), torch.tensor([0.0, 1.0])),
        (DiscretisedLogistic(), GREYS.float()),
        (PredictedLogistic(), GREYS.float()),
    ],
)
def test_drawn_pixels_follow_the_likelihood(p: Likelihood, values: Tensor) -> None:
    """How often each value comes up is exp(log_prob) of it; the ends of the scale included."""
    n, decoded = 200_000, torch.tensor([0.02, 0.5, 0.9]).reshape(1, 3, 1, 1)
    if isinstance(p, PredictedLogistic):  # a scale for each pixel as well
        decoded = torch.cat([decoded - 0.5, torch.tensor([-1, 0, 1]).reshape(1, 3, 1, 1)], dim=1)
    random = torch.Generator().manual_seed(0)
    x = p.draw(decoded.expand(n, -1, -1, -1), random)[..., 0, 0]  # [n, 3]
    grid = values[:, None, None, None].expand(-1, 3, 1, 1)
    mass = p.log_prob(grid, decoded.expand(len(values), -1, -1, -1)).double().exp()[..., 0, 0]
    for pixel in range(3):
        counts = torch.stack([(x[:, pixel] == value).sum() for value in values])
        assert int(counts.sum()) == n  # nothing else comes up
        expected = n * mass[:, pixel]
        likely = expected > 4  # the approximation by chi^2 asks for some draws of each
        terms = (counts - expected).square() / expected
        freedom = int(likely.sum()) - 1
        # Five standard deviations above the mean
        assert float(terms[likely].sum()) < freedom + 5 * (2 * freedom) ** 0.5


@torch.no_grad()
def test_a_drawn_gaussian_has_its_mean_and_spread() -> None:
    p, n, means = Gaussian(), 200_000, torch.tensor([0.02, 0.5, 0.9]).reshape(1, 3, 1, 1)
    x = p.draw(means.expand(n, -1, -1, -1), torch.Generator().manual_seed(0))[..., 0, 0]
    sigma = math.exp(-1)  # where a learned one starts
    # Five standard errors of mean and standard deviation
    assert float((x.mean(dim=0) - means.flatten()).abs().max()) < 5 * sigma / n**0.5
    assert float((x.std(dim=0) - sigma).abs().max()) < 5 * sigma / (2 * n) ** 0.5
