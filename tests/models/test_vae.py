"""The VAE: each term of its loss against torch.distributions and quadrature, and that it learns."""

from __future__ import annotations

import math
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import awake
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from genlab.config.families.vae import VAEConfig
from genlab.models.base import Batch
from genlab.models.vae import LOGVAR_RANGE, VAE, gaussian_kl
from genlab.processes.noise import SampleNoise

Likelihood = Literal["bernoulli", "gaussian"]
likelihoods = pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])


def make_vae(
    likelihood: Likelihood, shape: tuple[int, int, int] = (1, 8, 8), latent: int = 4
) -> VAE:
    config = VAEConfig(likelihood=likelihood, latent=latent, channels=4)
    return awake(VAE(config, shape, 10))


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64))


@given(mu=st.floats(-10, 10), logvar=st.floats(*LOGVAR_RANGE))
def test_kl_is_that_of_torch(mu: float, logvar: float) -> None:
    mean, log_variance = torch.tensor([mu, logvar], dtype=torch.float64)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    # exp(8) = 3000 in float64
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected, rtol=1e-9, atol=1e-9)


@likelihoods
def test_log_likelihood_is_that_of_torch(likelihood: Likelihood) -> None:
    """Summed over pixels, one number an image; the Bernoulli takes grey values as well."""
    vae = make_vae(likelihood, (1, 4, 4))
    images, logits = torch.rand(5, 1, 4, 4), 3 * torch.randn(5, 1, 4, 4)
    p: Bernoulli | Normal = (
        Bernoulli(logits=logits, validate_args=False)
        if likelihood == "bernoulli"
        else Normal(logits.sigmoid(), vae.log_sigma.exp())
    )
    expected = p.log_prob(images).sum(dim=(1, 2, 3))
    # float32 sums of 16 terms of size 1
    torch.testing.assert_close(vae.log_likelihood(images, logits), expected, rtol=1e-5, atol=1e-5)


@likelihoods
@torch.no_grad()
def test_loss_is_the_sum_of_its_parts(likelihood: Likelihood) -> None:
    """The parts are means over the batch of sums over pixels and latent dimensions."""
    vae, images = make_vae(likelihood), torch.rand(6, 1, 8, 8)
    torch.manual_seed(1)
    values = vae.loss(batch_of(images))
    assert set(values) == {"loss", "distortion", "kl"}
    assert torch.equal(values["loss"], values["distortion"] + values["kl"])
    mu, logvar = vae.encode(images)
    torch.manual_seed(1)
    z = mu + (logvar / 2).exp() * torch.randn_like(mu)
    each = [-vae.log_likelihood(images[i : i + 1], vae.decode(z[i : i + 1])) for i in range(6)]
    torch.testing.assert_close(values["distortion"], torch.stack(each).mean(), rtol=1e-5, atol=0)
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum() / 6
    torch.testing.assert_close(values["kl"], kl, rtol=1e-5, atol=0)


@likelihoods
@torch.no_grad()
def test_loss_bounds_log_p_by_exactly_the_posteriors_error(likelihood: Likelihood) -> None:
    """log p(x) = ELBO + KL(q(z|x) || p(z|x)), with the integrals over z in R done by quadrature."""
    vae = make_vae(likelihood, (1, 4, 4), latent=1)
    image = torch.rand(1, 1, 4, 4)
    z = torch.linspace(-12, 12, 24_001, dtype=torch.float64)  # far past both densities' tails
    step = float(z[1] - z[0])
    log_joint = Normal(0.0, 1.0).log_prob(z) + torch.cat(
        [
            vae.log_likelihood(
                image.expand(len(some), -1, -1, -1), vae.decode(some.float()[:, None])
            )
            for some in z.split(4000)
        ]
    )
    log_p = torch.logsumexp(log_joint, dim=0) + math.log(step)
    mu, logvar = (value.double().squeeze() for value in vae.encode(image))
    log_q = Normal(mu, (logvar / 2).exp()).log_prob(z)
    gap = float((log_q.exp() * (log_q - (log_joint - log_p))).sum() * step)
    draws = torch.stack(
        [vae.loss(batch_of(image.expand(1000, -1, -1, -1)))["loss"] for _ in range(30)]
    )
    error = float(draws.std()) / 30**0.5
    assert gap > 10 * error  # so that a loss without the gap would be noticed
    # Four standard errors of the mean over 30 000 draws of z
    assert -float(draws.mean()) == pytest.approx(float(log_p) - gap, abs=4 * error)


@torch.no_grad()
@pytest.mark.parametrize("direction", [-1, 1])
def test_logvar_is_clamped_and_the_loss_finite(direction: int) -> None:
    vae = make_vae("gaussian")
    vae.encoder[-1].bias[4:] = direction * 1e6
    images = torch.rand(2, 1, 8, 8)
    _, logvar = vae.encode(images)
    assert logvar.unique().tolist() == [LOGVAR_RANGE[direction > 0]]
    assert all(value.isfinite() for value in vae.loss(batch_of(images)).values())


def smooth_images(n: int) -> Tensor:
    """n different gradients on [0, 1], [n, 1, 8, 8]."""
    angles = torch.arange(n) * 2 * math.pi / n
    y, x = torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8), indexing="ij")
    waves = angles.cos()[:, None, None] * x + angles.sin()[:, None, None] * y
    return (0.5 + 0.5 * waves / 2**0.5)[:, None]


@likelihoods
def test_it_learns_eight_images_by_heart(likelihood: Likelihood) -> None:
    """At most a twentieth of the images' variance is left unexplained; the loss has fallen.

    The Bernoulli learns black and white ones: for grey values it prefers a latent that says less.
    """
    vae = VAE(VAEConfig(likelihood=likelihood, latent=4, channels=8), (1, 8, 8), 10)
    images = smooth_images(8)
    if likelihood == "bernoulli":
        images = images.round()
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    losses = []
    for _ in range(400):
        loss = vae(batch_of(images))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with torch.no_grad():
        again = vae.eval().reconstruct(images)
    unexplained = (again - images).square().mean() / (images - images.mean(dim=0)).square().mean()
    assert float(unexplained) < 0.05


@likelihoods
@torch.no_grad()
def test_reconstructions_and_samples_are_images(likelihood: Likelihood) -> None:
    """On [0, 1], of the data's shape; a reconstruction decodes the mean, so twice is the same."""
    vae, images = make_vae(likelihood, (1, 12, 8)), torch.rand(5, 1, 12, 8)
    again = vae.reconstruct(images)
    samples = vae.generate(SampleNoise(0, range(3)))
    assert again.shape == images.shape and samples.shape == (3, 1, 12, 8)
    for pixels in (again, samples):
        assert 0 <= float(pixels.min()) < float(pixels.max()) <= 1
    assert torch.equal(again, vae.reconstruct(images))
