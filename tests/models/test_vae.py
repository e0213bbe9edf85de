"""The VAE: its bound against quadrature and closed forms, its options, and that it learns."""

from __future__ import annotations

import itertools
import math
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import awake
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from genlab.config.base import build
from genlab.config.families.vae import DecoderLikelihood, VAEConfig
from genlab.errors import ConfigError
from genlab.models.base import Batch
from genlab.models.vae import LOGVAR_RANGE, VAE
from genlab.nn.densities import gaussian_kl, log_mean_exp, log_normal
from genlab.processes.noise import SampleNoise

SIGMA = {"gaussian-fixed": 0.5}
likelihoods = pytest.mark.parametrize("likelihood", get_args(DecoderLikelihood))


def make_vae(
    likelihood: DecoderLikelihood,
    shape: tuple[int, int, int] = (1, 8, 8),
    latent: int = 4,
    **values: Any,
) -> VAE:
    config = VAEConfig(
        likelihood=likelihood, sigma=SIGMA.get(likelihood), latent=latent, channels=4, **values
    )
    return awake(VAE(config, shape, 10))


def grey(*shape: int) -> Tensor:
    """Random images of the 256 grey values."""
    return torch.randint(256, shape) / 255


def batch_of(images: Tensor, progress: float = 1.0) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64), progress)


@given(mu=st.floats(-10, 10), logvar=st.floats(*LOGVAR_RANGE), z=st.floats(-10, 10))
@settings(max_examples=25)
def test_kl_and_density_are_those_of_torch(mu: float, logvar: float, z: float) -> None:
    mean, log_variance, at = torch.tensor([mu, logvar, z], dtype=torch.float64)
    q = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(q, Normal(0.0, 1.0))
    # exp(8) = 3000, and 20^2 exp(12) / 2 = 3e7, in float64
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(
        log_normal(at, mean, log_variance), q.log_prob(at), rtol=1e-9, atol=1e-9
    )


@given(
    likelihood=st.sampled_from(get_args(DecoderLikelihood)),
    batch=st.integers(1, 3),
    channels=st.integers(1, 3),
    sides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    latent=st.integers(1, 5),
)
@settings(max_examples=20)
def test_any_shape(
    likelihood: DecoderLikelihood, batch: int, channels: int, sides: tuple[int, int], latent: int
) -> None:
    """Sides divisible by 4, any channels; each image's numbers are its own."""
    shape = (channels, 4 * sides[0], 4 * sides[1])
    vae, images = make_vae(likelihood, shape, latent), grey(batch, *shape)
    with torch.no_grad():
        values = vae.loss(batch_of(images))
        z = vae.to_latent(images)
        log_p = vae.log_likelihood(images, vae.decode(z))
        alone = vae.log_likelihood(images[:1], vae.decode(z[:1]))
        weights = vae.log_weights(images, 3)
    assert z.shape == (batch, latent) and weights.shape == (3, batch)
    assert all(value.dtype == torch.float32 and value.isfinite() for value in values.values())
    assert {name for name in values if "/" in name} == {f"kl/{j:02}" for j in range(latent)}
    assert vae.reconstruct(images).shape == vae.from_latent(z).shape == images.shape
    # float32, convolutions of other batch sizes
    torch.testing.assert_close(log_p[:1], alone, rtol=1e-4, atol=1e-3)


@likelihoods
@torch.no_grad()
def test_loss_is_the_sum_of_its_parts(likelihood: DecoderLikelihood) -> None:
    """The parts are means over the batch of sums over pixels and latent dimensions."""
    vae, images = make_vae(likelihood), grey(6, 1, 8, 8)
    torch.manual_seed(1)
    values = vae.loss(batch_of(images))
    torch.testing.assert_close(values["loss"], values["distortion"] + values["kl"])
    assert torch.equal(values["elbo"], -(values["distortion"] + values["kl"]))
    mu, logvar = vae.encode(images)
    torch.manual_seed(1)
    z = mu + (logvar / 2).exp() * torch.randn_like(mu)
    each = [-vae.log_likelihood(images[i : i + 1], vae.decode(z[i : i + 1])) for i in range(6)]
    torch.testing.assert_close(values["distortion"], torch.stack(each).mean(), rtol=1e-5, atol=0)
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(dim=0) / 6
    torch.testing.assert_close(values["kl"], kl.sum(), rtol=1e-5, atol=0)
    torch.testing.assert_close(values["kl/02"], kl[2], rtol=1e-5, atol=0)
    assert values["active_units"] == sum(float(m.var(correction=0)) > 0.01 for m in mu.T)


def log_p_by_quadrature(vae: VAE, image: Tensor) -> tuple[float, float]:
    """log p(x), and KL(q(z|x) || p(z|x)), of one image and z in R."""
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
    return float(log_p), float((log_q.exp() * (log_q - (log_joint - log_p))).sum() * step)


@likelihoods
@torch.no_grad()
def test_loss_bounds_log_p_by_exactly_the_posteriors_error(likelihood: DecoderLikelihood) -> None:
    """log p(x) = ELBO + KL(q(z|x) || p(z|x)), with the integrals over z in R by quadrature.

    And the importance samples' bound lies between: with K = 1 it is the ELBO.
    """
    vae = make_vae(likelihood, (1, 4, 4), latent=1)
    image = grey(1, 1, 4, 4)
    log_p, gap = log_p_by_quadrature(vae, image)
    draws = torch.stack(
        [vae.loss(batch_of(image.expand(1000, -1, -1, -1)))["loss"] for _ in range(30)]
    )
    error = float(draws.std()) / 30**0.5
    assert gap > 10 * error  # so that a loss without the gap would be noticed
    # Four standard errors of the mean over 30 000 draws of z
    assert -float(draws.mean()) == pytest.approx(log_p - gap, abs=4 * error)
    log_w = vae.log_weights(image, 20_000)
    error = float(log_w.std()) / 20_000**0.5
    assert float(log_w.mean()) == pytest.approx(log_p - gap, abs=4 * error)


@torch.no_grad()
def test_iwae_never_falls_and_reaches_log_p() -> None:
    """Its mean over all subsets of K of the same draws grows with K, the proof of Burda et al.

    With 20,000 draws of a z in R it is log p(x), here to the error of the mean of their weights.
    """
    vae, image = make_vae("gaussian-fixed", (1, 4, 4), latent=1), grey(1, 1, 4, 4)
    draws = vae.log_weights(image, 7)
    means = [
        torch.stack(
            [log_mean_exp(draws[list(some)], dim=0) for some in itertools.combinations(range(7), k)]
        ).mean()
        for k in range(1, 8)
    ]
    assert float(means[0]) == pytest.approx(float(draws.mean()), rel=1e-6)  # float32 against 64
    assert all(more > less for less, more in itertools.pairwise(means))
    log_p, _ = log_p_by_quadrature(vae, image)
    log_w = vae.log_weights(image, 20_000)
    weights = (log_w - log_w.max()).exp()
    error = float(weights.std() / weights.mean()) / 20_000**0.5  # of log of the mean
    assert error < 0.05
    assert float(log_mean_exp(log_w, dim=0)) == pytest.approx(log_p, abs=4 * error)


@torch.no_grad()
@pytest.mark.parametrize("likelihood", ["gaussian-fixed", "gaussian-learned", "logistic"])
def test_density_is_one_of_dequantised_pixels(likelihood: DecoderLikelihood) -> None:
    """Integrated over the bin of an image, it is the probability that the likelihood gives it.

    One pixel of 16 is moved over its bin of 1/256 by the midpoint rule, in 64 steps. A mass is
    the same all over the bin; a Gaussian's integral is a difference of its distribution function.
    z says nothing here and q is the prior, so that the bound is log p(x) itself.
    """
    vae = make_vae(likelihood, (1, 4, 4), latent=1)
    for weight in (vae.encoder[-1].weight, vae.encoder[-1].bias, vae.decoder[0].weight):
        nn.init.zeros_(weight)
    x = torch.randint(256, (1, 1, 4, 4))
    y = ((x + 0.5) / 256).repeat(64, 1, 1, 1)
    y[:, 0, 1, 2] = (x[0, 0, 1, 2] + (torch.arange(64) + 0.5) / 64) / 256
    decoded = vae.decode(torch.zeros(1, 1))
    if likelihood == "logistic":
        mass = vae.likelihood.log_prob(x / 255, decoded)
    else:
        p = Normal(decoded.double(), vae.likelihood.log_sigma.double().exp())
        mass = p.log_prob((x + 0.5) / 256) - math.log(256)
        mass[0, 0, 1, 2] = (p.cdf((x + 1) / 256) - p.cdf(x / 256)).log()[0, 0, 1, 2]
    for kind, k in (("elbo", 1), ("iwae", 3)):
        log_density = vae.log_density(y, kind, k)
        integral = log_density.logsumexp(dim=0) - math.log(64) - 16 * math.log(256)
        # A float32 sum of 16 terms of size 5; the midpoint rule errs by less than 1e-6
        assert float(integral) == pytest.approx(float(mass.sum()), abs=1e-4)


def pixels_of_rank_two() -> Tensor:
    """200 images [200, 1, 4, 4] that are linear in two latents, plus noise."""
    random = torch.Generator().manual_seed(0)
    basis = torch.randn(2, 16, generator=random) * torch.tensor([[0.6], [0.4]])
    latents = torch.randn(200, 2, generator=random)
    noise = 0.5 * torch.randn(200, 16, generator=random)
    return (0.5 + latents @ basis + noise).reshape(-1, 1, 4, 4)


def ppca_log_likelihood(x: Tensor, latent: int, variance: float | None) -> float:
    """The mean log p(x) of the best probabilistic PCA (Tipping & Bishop 1999, section 3.2).

    C = U (L - s^2) U^T + s^2 I in the leading eigenvectors; the best s^2 is the mean of the rest.
    """
    d = x.shape[1]
    values = torch.linalg.eigvalsh(x.double().T.cov(correction=0)).flip(0)
    s2 = float(values[latent:].mean()) if variance is None else variance
    spectrum = torch.cat([values[:latent].clamp(min=s2), torch.full((d - latent,), s2)])
    return float(
        -0.5 * (d * math.log(2 * math.pi) + spectrum.log().sum() + (values / spectrum).sum())
    )


@pytest.mark.parametrize("likelihood", ["gaussian-fixed", "gaussian-learned"])
def test_linear_vae_reaches_probabilistic_pca(likelihood: DecoderLikelihood) -> None:
    """With linear networks the posterior is a Gaussian of one covariance, and the bound is tight.

    (Lucas et al. 2019, arXiv:1911.02469.) The ELBO is measured over 100 draws for each image: its
    standard error is .01 nats.
    """
    images = pixels_of_rank_two()
    vae = make_vae(likelihood, (1, 4, 4), latent=2)
    vae.encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    vae.decoder = nn.Sequential(nn.Linear(2, 16), nn.Unflatten(1, (1, 4, 4)))
    vae.likelihood.link = nn.Identity()
    optimizer = torch.optim.Adam(vae.parameters(), lr=0.05)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 500)
    for _ in range(500):
        loss = vae(batch_of(images))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    with torch.no_grad():
        elbo = float(vae.loss(batch_of(images.repeat(100, 1, 1, 1)))["elbo"])
    variance = 0.5**2 if likelihood == "gaussian-fixed" else None
    best = ppca_log_likelihood(images.flatten(1), 2, variance)
    assert elbo == pytest.approx(best, abs=0.05)


@torch.no_grad()
def test_kl_warmup_weighs_the_kl_from_nothing_to_all() -> None:
    """Linear over its share of the training; outside of it, as in validation, the weight is 1."""
    vae, images = make_vae("bernoulli", kl_warmup=0.4), grey(3, 1, 8, 8)
    for progress, weight in [(0.0, 0.0), (0.1, 0.25), (0.4, 1.0), (0.7, 1.0), (1.0, 1.0)]:
        values = vae.loss(batch_of(images, progress))
        expected = values["distortion"] + weight * values["kl"]
        torch.testing.assert_close(values["loss"], expected)
    plain = make_vae("bernoulli").loss(batch_of(images, 0.0))
    torch.testing.assert_close(plain["loss"], plain["distortion"] + plain["kl"])


@torch.no_grad()
def test_free_bits_ask_no_less_of_a_dimension() -> None:
    """sum_j max(lambda, KL_j); a dimension below lambda has no gradient to shrink any further."""
    images = grey(3, 1, 8, 8)
    kl = gaussian_kl(*make_vae("bernoulli").encode(images)).mean(dim=0)
    free = float(kl.median()) + 1e-3  # so that two of four dimensions are below, and two above
    vae = make_vae("bernoulli", free_bits=free)
    values = vae.loss(batch_of(images))
    paid = sum(max(free, float(k)) for k in kl)
    assert 2 * free < paid < float(kl.sum()) + 2 * free
    torch.testing.assert_close(values["loss"], values["distortion"] + paid, rtol=1e-5, atol=0)
    torch.testing.assert_close(values["elbo"], -(values["distortion"] + kl.sum()))
    with torch.enable_grad():
        rates = kl[None].clone().requires_grad_()
        vae.regulariser(rates, 1.0).backward()
    assert rates.grad is not None and torch.equal(rates.grad[0], (kl > free).float())


@torch.no_grad()
def test_dynamic_binarisation_draws_black_and_white_images_anew() -> None:
    """Each pixel is white with the probability that is its grey value."""
    vae, image = make_vae("bernoulli", binarise="dynamic"), grey(1, 1, 8, 8)
    binarised = vae.binarised(image.expand(4000, -1, -1, -1))
    assert set(binarised.unique().tolist()) == {0.0, 1.0}
    # Five standard errors of a frequency over 4000 draws, at most 1/2 each
    assert float((binarised.mean(dim=0) - image[0]).abs().max()) < 5 * 0.5 / 4000**0.5
    plain = make_vae("bernoulli")
    assert torch.equal(plain.binarised(image), image)
    torch.manual_seed(3)
    values = vae.loss(batch_of(image))
    torch.manual_seed(3)
    assert values == plain.loss(batch_of(torch.bernoulli(image)))


@torch.no_grad()
@pytest.mark.parametrize("direction", [-1, 1])
def test_logvar_is_clamped_and_the_loss_finite(direction: int) -> None:
    vae = make_vae("gaussian-learned")
    vae.encoder[-1].bias[4:] = direction * 1e6
    images = grey(2, 1, 8, 8)
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
def test_it_learns_eight_images_by_heart(likelihood: DecoderLikelihood) -> None:
    """At most a twentieth of the images' variance is left unexplained; the loss has fallen.

    The Bernoulli learns black and white ones: for grey values it prefers a latent that says less.
    """
    config = VAEConfig(likelihood=likelihood, sigma=SIGMA.get(likelihood), latent=4, channels=8)
    vae = VAE(config, (1, 8, 8), 10)
    images = smooth_images(8)
    if likelihood == "bernoulli":
        images = images.round()
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-2)
    losses = []
    for _ in range(250):
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
def test_reconstructions_and_samples_are_images(likelihood: DecoderLikelihood) -> None:
    """On [0, 1], of the data's shape; a reconstruction decodes the mean, so twice is the same."""
    vae, images = make_vae(likelihood, (1, 12, 8)), grey(5, 1, 12, 8)
    again = vae.reconstruct(images)
    samples = vae.generate(SampleNoise(0, range(3)))
    assert again.shape == images.shape and samples.shape == (3, 1, 12, 8)
    for pixels in (again, samples):
        assert 0 <= float(pixels.min()) < float(pixels.max()) <= 1
    assert torch.equal(again, vae.reconstruct(images))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"latent": 0}, "latent"),
        ({"likelihood": "gaussian"}, "likelihood"),
        ({"likelihood": "gaussian-fixed"}, "sigma"),
        ({"likelihood": "logistic", "sigma": 0.1}, "sigma"),
        ({"likelihood": "gaussian-fixed", "sigma": 0}, "sigma"),
        ({"likelihood": "logistic", "binarise": "dynamic"}, "binarise"),
        ({"kl_warmup": 1.5}, "kl_warmup"),
        ({"free_bits": -1}, "free_bits"),
    ],
)
def test_mistakes_are_config_errors(values: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"here.*{key}"):
        build(VAEConfig, values, "here")


def test_bernoulli_on_colour_is_a_problem_and_has_no_density() -> None:
    bernoulli = VAEConfig(likelihood="bernoulli", binarise="dynamic")
    (problem,) = bernoulli.problems(channels=3, size=32)
    assert "bernoulli needs grey images" in problem
    assert bernoulli.likelihoods == () and bernoulli.no_likelihood == "Bernoulli: binary pixels"
    assert bernoulli.variant == "Bernoulli, dynamic binarisation"
    assert VAEConfig(likelihood="logistic").likelihoods == ("elbo", "iwae")
