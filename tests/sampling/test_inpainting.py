"""Given some pixels, the others follow their conditional distribution."""

from __future__ import annotations

import pytest
import torch
from latent_models import captions, make_ldm
from oracles import (
    COVARIANCE,
    MEAN,
    PATHS,
    StreamNoise,
    ideal_denoiser,
    posterior_mean_of_gaussian,
    posterior_mean_of_points,
)

from genlab.processes.gaussian import Denoiser, over_pixels
from genlab.processes.noise import SampleNoise
from genlab.processes.paths import GaussianPath
from genlab.sampling.inpainting import ObservingDenoiser, complete, inpaint

paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
KNOWN = torch.tensor([[[True, False], [True, False]]])  # [1, 2, 2]


def test_a_denoiser_that_knows_pixels_says_them_and_nothing_else_changes() -> None:
    """The two ends still make up x_t, at each sample's own time, and for some of the samples."""
    path = PATHS["vp"]
    points = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    plain = ideal_denoiser(posterior_mean_of_points(points), path, "v")
    images, x = torch.rand(3, 1, 2, 2), torch.randn(3, 1, 2, 2, dtype=torch.float64)
    observing = ObservingDenoiser(**vars(plain), images=images, observed=KNOWN.expand(3, 1, 2, 2))
    t = torch.tensor([0.2, 0.9], dtype=torch.float64)
    which = torch.tensor([2, 0])
    result, expected = observing(x[which], t, which), plain(x[which], t)
    observed = KNOWN.expand(2, 1, 2, 2)
    assert torch.equal(result.x0[observed], images[which].double()[observed])
    assert torch.equal(result.x0[~observed], expected.x0[~observed])
    alpha, sigma = (over_pixels(part) for part in path.level(t))
    torch.testing.assert_close(alpha * result.x0 + sigma * result.eps, x[which], rtol=0, atol=1e-12)


@paths
def test_the_completion_is_the_point_that_the_known_pixels_belong_to(path: GaussianPath) -> None:
    """Of five points in 16 dimensions, of which 12 pixels are given: they tell which."""
    points = torch.rand(5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points = 2 * points - 1
    denoiser = ideal_denoiser(posterior_mean_of_points(points), path, "v")
    images = points[torch.arange(50) % 5].reshape(50, 1, 4, 4)
    observed = (torch.arange(16) < 12).reshape(1, 4, 4)
    result = inpaint(denoiser, StreamNoise(0, 50), torch.where(observed, images, 7.0), observed)
    assert torch.equal(result[observed.expand_as(result)], images[observed.expand_as(images)])
    # At the last step that point has all the weight.
    assert float((result - images).abs().max()) < 1e-6
    assert denoiser.evaluations == 50 * (29 * 4 + 1)


def completions(repeats: int, n: int = 1000) -> torch.Tensor:
    """The unknown pixels [n, 2] of Gaussian data, given the others."""
    denoiser: Denoiser = ideal_denoiser(
        posterior_mean_of_gaussian(MEAN, COVARIANCE), PATHS["flow"], "velocity"
    )
    images = torch.tensor([1.0, 9.0, -0.4, 9.0], dtype=torch.float64).reshape(1, 1, 2, 2)
    result = inpaint(denoiser, StreamNoise(0, n), images.expand(n, 1, 2, 2), KNOWN,
                    steps=100, repeats=repeats)  # fmt: skip
    return result[~KNOWN.expand_as(result)].reshape(n, 2)


def test_unknown_pixels_of_gaussian_data_have_their_conditional_distribution() -> None:
    """N(m_u + K (x_k - m_k), C_uu - K C_ku), K = C_uk C_kk^-1, the nearer the more repeats.

    Pixels that are fitted at every noise level once are not yet fitted to the known ones without
    noise; coming to terms with them takes repeats. With ten, the means are right up to a tenth of
    the standard deviation (three standard errors of 1000 draws are .1 of it); variances shrink by
    the first order of ancestral steps, a tenth in 100 steps, beside 4 sqrt(2 / 1000) = .18.
    """
    k, u = [0, 2], [1, 3]
    gain = COVARIANCE[u][:, k] @ torch.linalg.inv(COVARIANCE[k][:, k])
    given = torch.tensor([1.0, -0.4], dtype=torch.float64)
    mean = MEAN[u] + gain @ (given - MEAN[k])
    covariance = COVARIANCE[u][:, u] - gain @ COVARIANCE[k][:, u]
    std = covariance.diagonal().sqrt()
    once, often = completions(repeats=1), completions(repeats=10)
    errors = [((x.mean(dim=0) - mean) / std).abs().max() for x in (once, often)]
    assert float(errors[1]) < 0.1
    assert float(errors[0]) > 0.2
    relative = (often.T.cov() - covariance).abs() / torch.outer(std, std)
    assert float(relative.max()) < 0.25


def test_a_completion_does_not_depend_on_its_batch() -> None:
    points = 2 * torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    images = (points[torch.arange(6) % 5] - 1).reshape(6, 1, 2, 2)

    def run(which: range) -> torch.Tensor:
        denoiser = ideal_denoiser(posterior_mean_of_points(points - 1), PATHS["cosine"], "v")
        return inpaint(denoiser, SampleNoise(0, which), images[which.start : which.stop], KNOWN,
                       steps=5, repeats=2)  # fmt: skip

    together = run(range(6))
    apart = torch.cat([run(range(2)), run(range(2, 6))])
    torch.testing.assert_close(apart, together, rtol=1e-9, atol=1e-9)  # the last bits of sums


def test_of_latents_known_pixels_come_out_untouched_and_hidden_ones_go_not_in() -> None:
    """To the bit; and what lies in the place of the others is never looked at."""
    model, observed = make_ldm(), torch.zeros(4, 1, 8, 8, dtype=torch.bool)
    observed[:, :, :, :5] = True  # a place of the grid is four pixels wide
    images = torch.rand(4, 1, 8, 8)

    def completed(images: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
        noise = SampleNoise(0, range(4))
        return complete(model, images, observed, noise, labels=prompts, guidance=2.0, steps=4)

    result = completed(images, captions(4))
    assert torch.equal(result[observed], images[observed])
    assert torch.equal(result, completed(torch.where(observed, images, 0.3), captions(4)))
    hidden = ~observed
    assert not torch.allclose(result[hidden], images[hidden], atol=0.05)
    other = completed(images, captions(8)[4:])
    assert not torch.equal(other[hidden], result[hidden])


def test_with_nothing_hidden_the_image_is_what_it_was() -> None:
    model, images = make_ldm(text=False), torch.rand(2, 1, 8, 8)
    everything = torch.ones_like(images, dtype=torch.bool)
    noise = SampleNoise(0, range(2))
    assert torch.equal(complete(model, images, everything, noise, steps=2), images)
