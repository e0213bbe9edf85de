"""From image to noise and back: right by the closed form, and of second order in the steps."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from oracles import PATHS, ideal_denoiser, posterior_mean_of_gaussian, posterior_mean_of_points
from torch import Tensor

from genlab.processes.gaussian import Denoiser
from genlab.processes.paths import GaussianPath
from genlab.sampling.inversion import decode, encode, round_trip

paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
STD = torch.tensor([0.8, 0.5, 0.3, 0.2], dtype=torch.float64)


def denoiser_of(path: GaussianPath) -> Denoiser:
    """Of data N(0, diag(STD^2))."""
    return ideal_denoiser(posterior_mean_of_gaussian(torch.zeros(4).double(), STD.square().diag()),
                          path, "v")  # fmt: skip


def images() -> Tensor:
    noise = torch.randn(8, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (noise * STD).reshape(8, 1, 2, 2)


def spread(path: GaussianPath, ratio: float) -> Tensor:
    """The standard deviation of x_t, [1, 2, 2], at this ratio sigma / alpha."""
    alpha, sigma = path.level(path.time_of(torch.tensor(ratio, dtype=torch.float64))).scalars()
    return (alpha**2 * STD**2 + sigma**2).sqrt().reshape(1, 2, 2)


@pytest.mark.parametrize("name", ["cosine", "vp", "ve", "edm", "flow"])
def test_errors_fall_with_the_square_of_the_steps(name: str) -> None:
    """Of the noise against the ODE's solution, a scaling of each pixel; and of the way back."""
    path, x = PATHS[name], images()
    exact = x * spread(path, path.ratios[1]) / spread(path, path.ratios[0])
    noise_errors, back = [], []
    for steps in (60, 120, 240):
        noise, again = round_trip(denoiser_of(path), x, steps=steps)
        noise_errors.append(float((noise / exact - 1).abs().max()))
        back.append(float((again - x).abs().max()))
    for errors in (noise_errors, back):
        orders = [math.log2(a / b) for a, b in pairwise(errors)]
        assert min(orders) > 1.7  # 2, and better where errors of there and back cancel
    assert noise_errors[-1] < 0.04 and back[-1] < 2e-3


@paths
def test_noise_is_found_again_in_its_image(path: GaussianPath) -> None:
    """encode(decode(z)) = z, up to the steps' error."""
    z = images() / STD.reshape(1, 2, 2) * spread(path, path.ratios[1])
    denoiser = denoiser_of(path)
    again = encode(denoiser, decode(denoiser, z, steps=160), steps=160)
    torch.testing.assert_close(again, z, rtol=0.02, atol=0)


def test_nearby_points_of_a_data_set_go_to_noises_of_their_own() -> None:
    """Where the ODE is far from linear: each image of ten comes back as itself."""
    points = torch.rand(10, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points = 2 * points - 1
    denoiser = ideal_denoiser(posterior_mean_of_points(points), PATHS["vp"], "v")
    x = points.reshape(10, 1, 2, 2)
    noise, again = round_trip(denoiser, x, steps=100)
    assert float(torch.cdist(noise.flatten(1), noise.flatten(1)).fill_diagonal_(9).min()) > 0.1
    assert float((again - x).abs().max()) < 0.05


def test_predictions_are_clipped_and_two_evaluations_a_step_are_counted() -> None:
    """A network that predicts -1.5 for every pixel takes images where one that predicts -1 does."""
    beyond, end = (
        Denoiser(lambda x, t, labels, c=c: torch.full_like(x, c), PATHS["flow"], "x0", clip=clip)
        for c, clip in ((-1.5, True), (-1.0, False))
    )
    x = images()
    assert torch.equal(encode(beyond, x, steps=5), encode(end, x, steps=5))
    assert beyond.evaluations == end.evaluations == 8 * 2 * 5
    round_trip(beyond, x, steps=5)
    assert beyond.evaluations == 3 * 8 * 2 * 5
