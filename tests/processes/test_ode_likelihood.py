"""Densities by the ODE against closed forms, with ideal denoisers of known data."""

from __future__ import annotations

import math

import pytest
import torch
from oracles import (
    COVARIANCE,
    MEAN,
    PATHS,
    PosteriorMean,
    ideal_denoiser,
    posterior_mean_of_gaussian,
    posterior_mean_of_points,
)
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from genlab.processes.gaussian import Denoiser
from genlab.processes.ode_likelihood import log_density, signs
from genlab.processes.paths import GaussianPath

paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))

GAUSSIAN = MultivariateNormal(MEAN, COVARIANCE)


def to_pixels(x: Tensor) -> Tensor:
    """x [B, 4] on [-1, 1] -> y [B, 1, 2, 2] on [0, 1]; it may lie outside, as Gaussians do."""
    return (((x + 1) * 255 + 1) / 512).reshape(-1, 1, 2, 2)


def bits_per_dim(nats: Tensor, dimensions: int) -> Tensor:
    return nats / (dimensions * math.log(2))


def gaussian_denoiser(path: GaussianPath) -> Denoiser:
    return ideal_denoiser(posterior_mean_of_gaussian(MEAN, COVARIANCE), path, "v")


def samples(n: int) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GAUSSIAN.sample((n,))


@paths
def test_the_density_of_gaussian_data_is_its_closed_form(path: GaussianPath) -> None:
    """Within .01 bits/dim for every image, on every path; log p(y) = log p(x) + D log (512/255).

    What is left of it: x_0 at t_max, which the prior doesn't know of (VE: (x / 50)^2 of its mean),
    and the noise of the first level, of .002 to .017 beside a standard deviation of .17 along the
    data's least axis, (.01 / .17)^2.
    """
    x = samples(32)
    with torch.no_grad():  # as the stage calls it
        result = log_density(
            gaussian_denoiser(path), to_pixels(x), rtol=1e-4, atol=1e-4, exact=True
        )
    assert result.dtype == torch.float64 and not result.requires_grad
    error = bits_per_dim(result - GAUSSIAN.log_prob(x) - 4 * math.log(512 / 255), 4)
    assert float(error.abs().max()) < 0.02
    assert abs(float(error.mean())) < 0.01


def posterior_mean_of_mixture(means: Tensor, std: float) -> PosteriorMean:
    """Of a mixture of equal Gaussians N(mean, std^2 I), that is, of noisy points."""
    points = posterior_mean_of_points(means)

    def mean(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        spread = (sigma**2 + alpha**2 * std**2).sqrt()
        centre = points(x, alpha, spread)  # weights of the components at x_t
        gain = alpha * std**2 / spread**2
        return centre + gain * (x - alpha * centre)

    return mean


@pytest.mark.parametrize("name", ["vp", "flow", "edm", "cosine"])
def test_the_density_of_a_mixture_is_its_closed_form(name: str) -> None:
    """Three components in two dimensions, at places between and beyond them.

    The exact density is that of x_t / alpha at the first level, whose noise is that of cells of
    2 / 255, or more where the path's levels are discrete.
    """
    path, std = PATHS[name], 0.1
    means = torch.tensor([[-0.5, 0.3], [0.6, 0.5], [0.1, -0.6]], dtype=torch.float64)
    denoiser = ideal_denoiser(posterior_mean_of_mixture(means, std), path, "velocity")
    side = torch.linspace(-0.7, 0.7, 6, dtype=torch.float64)
    x = torch.cartesian_prod(side, side)
    first = path.time_of(torch.tensor(2 / 255 / math.sqrt(12), dtype=torch.float64))
    alpha, sigma = path.level(max(path.t_min, float(first))).scalars()
    spread = math.sqrt(std**2 + (sigma / alpha) ** 2)
    components = MultivariateNormal(means, spread**2 * torch.eye(2, dtype=torch.float64))
    exact = MixtureSameFamily(Categorical(torch.ones(3)), components).log_prob(x)
    pixels = (((x + 1) * 255 + 1) / 512).reshape(-1, 1, 1, 2)
    result = log_density(denoiser, pixels, rtol=1e-5, atol=1e-5, exact=True) - 2 * math.log(
        512 / 255
    )
    # Densities from e^-40 to e^2; what the prior doesn't know, as above: alpha_T^2 and (1 / 80)^2.
    torch.testing.assert_close(result, exact, rtol=1e-3, atol=5e-3)


def test_random_probes_are_right_in_the_mean() -> None:
    """Of 4000 probes at one place, four standard errors: Hutchinson's estimate has no bias."""
    denoiser, n = gaussian_denoiser(PATHS["flow"]), 4000
    # Places that differ by nothing but their last bits have the density of one, and other probes.
    x = samples(1) + 1e-9 * torch.arange(n, dtype=torch.float64)[:, None]
    exact = log_density(denoiser, to_pixels(x[:1]), exact=True)
    result = log_density(denoiser, to_pixels(x))
    standard_error = float(result.std()) / n**0.5
    assert standard_error > 0
    # 1e-2: the solver's own, whose steps depend on the probe
    assert abs(float(result.mean() - exact)) < 4 * standard_error + 1e-2


def test_an_image_has_its_own_signs_whatever_the_batch() -> None:
    images = torch.rand(6, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    whole = signs(images)
    assert set(whole.flatten().tolist()) == {-1.0, 1.0}
    assert len({image.numpy().tobytes() for image in whole}) == 6
    assert torch.equal(signs(images[[4, 1]]), whole[[4, 1]])


def test_the_density_of_an_image_does_not_depend_on_its_batch() -> None:
    denoiser = gaussian_denoiser(PATHS["vp"])
    pixels = to_pixels(samples(7))
    together = log_density(denoiser, pixels)
    alone = torch.cat([log_density(denoiser, one[None]) for one in pixels])
    # Sums of another batch size may end in another last bit.
    torch.testing.assert_close(alone, together, rtol=1e-9, atol=1e-9)


def test_predictions_are_clipped_where_the_sampler_clips_them() -> None:
    """A network that predicts -1.3 has the density of one that predicts -1, if it is clipped."""
    beyond, end = (
        Denoiser(lambda x, t, labels, c=c: torch.full_like(x, c), PATHS["flow"], "x0", clip=clip)
        for c, clip in ((-1.3, True), (-1.0, False))
    )
    pixels = to_pixels(torch.full((3, 4), -1.0, dtype=torch.float64))
    assert torch.equal(log_density(beyond, pixels), log_density(end, pixels))
    assert beyond.evaluations == end.evaluations >= 3 * 8


@paths
def test_a_pixel_that_is_known_costs_a_quarter_of_a_bit(path: GaussianPath) -> None:
    """Uniform noise under the Gaussian of its variance: log2(2 pi e / 12) / 2 = .2546 bits.

    Paths whose first level has more noise than the cells (sigma = r times theirs) pay
    log2(r) + (1 / r^2 - 1) / (2 log 2) on top.
    """
    denoiser = Denoiser(lambda x, t, labels: torch.full_like(x, -1.0), path, "x0")
    u = (torch.arange(40, dtype=torch.float64) + 0.5) / 40  # even in the cell of grey value 0
    pixels = (u / 256)[:, None, None, None].expand(-1, 1, 2, 2)
    nats = log_density(denoiser, pixels, rtol=1e-4, atol=1e-4, exact=True)
    bits = 8 - bits_per_dim(nats, 4).mean()
    cell = 2 / 255 / math.sqrt(12)
    first = max(path.t_min, float(path.time_of(torch.tensor(cell, dtype=torch.float64))))
    alpha, sigma = path.level(first).scalars()
    r = sigma / alpha / cell
    known = math.log2(2 * math.pi * math.e / 12) / 2
    expected = known + math.log2(r) + (1 / r**2 - 1) / (2 * math.log(2))
    # The prior does not know of the image that is left at t_max, .012 bits at worst, on 'sigmoid';
    # the rest is the solver's.
    assert float(bits) == pytest.approx(expected, abs=0.02)
