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

from genlab.nn.likelihoods import Bernoulli, DiscretizedLogistic, Gaussian

GREYS = torch.arange(256, dtype=torch.float64) / 255


def logistic(log_scale: float) -> DiscretizedLogistic:
    """In float64, with this scale."""
    p = DiscretizedLogistic().double()
    torch.nn.init.constant_(p.log_scale, log_scale)
    return p


@given(mean=st.floats(0, 1), log_scale=st.floats(-9, 3))
@settings(max_examples=25, deadline=None)
def test_logistic_sums_to_one_over_the_grey_values(mean: float, log_scale: float) -> None:
    """Wherever its mean lies: the two bins at the ends are open."""
    p = logistic(log_scale)
    total = p.log_prob(GREYS, torch.tensor(mean, dtype=torch.float64)).exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-12)  # 256 terms of float64


@given(mean=st.floats(0, 1), log_scale=st.floats(-4, 3))
@settings(max_examples=25, deadline=None)
def test_logistic_is_the_mass_between_the_edges_of_a_bin(mean: float, log_scale: float) -> None:
    """Salimans et al., equation 2, by the difference of two sigmoids as it is written there."""
    m = torch.tensor(mean, dtype=torch.float64)
    edges = torch.cat([GREYS - 1 / 510, GREYS[-1:] + 1 / 510])
    below = torch.sigmoid((edges - m) / math.exp(log_scale))
    below[0], below[-1] = 0, 1
    # The difference of two numbers near 1 keeps 16 digits of 1
    torch.testing.assert_close(
        logistic(log_scale).log_prob(GREYS, m).exp(), below.diff(), rtol=0, atol=1e-15
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


@pytest.mark.parametrize("p", [Bernoulli(), Gaussian(0.1), Gaussian(), DiscretizedLogistic()])
def test_the_mean_maximises_the_likelihood_of_itself(
    p: Bernoulli | Gaussian | DiscretizedLogistic,
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
