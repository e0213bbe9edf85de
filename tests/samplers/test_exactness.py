"""With the ideal denoiser of known data, every sampler gives that data back.

What a trained model adds is the error of its network; here there is none, so that samples must
follow the data up to the number of steps and the number of samples.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from oracles import (
    StreamNoise,
    ideal_denoiser,
    posterior_mean_of_gaussian,
    posterior_mean_of_points,
)
from torch import Tensor

from genlab.processes.gaussian import Denoiser, Prediction
from genlab.processes.schedules import SCHEDULES
from genlab.samplers import find

samplers = pytest.mark.parametrize(
    ("sampler", "settings"),
    [("ddpm", {}), ("ddim", {"eta": 0.0}), ("ddim", {"eta": 0.5})],
    ids=["ddpm", "ddim", "ddim-half"],
)


def draw(
    sampler: str, denoiser: Denoiser, samples: int, shape: tuple[int, ...], **settings: Any
) -> Tensor:
    """`samples` flattened samples [samples, D]."""
    *_, last = find(sampler)(denoiser, StreamNoise(0, samples), shape, **settings)
    return last.x.flatten(1).double()


@samplers
@pytest.mark.parametrize("steps", [100, 50])
@pytest.mark.parametrize("prediction", get_args(Prediction))
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_sample_is_a_point_of_a_finite_data_set(
    schedule: str, prediction: Prediction, steps: int, sampler: str, settings: dict[str, float]
) -> None:
    """Samples are the points themselves, all of them, each about equally often."""
    points = torch.rand(5, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points = 2 * points - 1
    denoiser = ideal_denoiser(posterior_mean_of_points(points), schedule, 100, prediction)
    x = draw(sampler, denoiser, 1000, (1, 4, 4), steps=steps, **settings)
    distance, nearest = torch.cdist(x, points).min(dim=1)
    # At the last step the nearest point has all the weight; float64 loses little on the way there.
    assert float(distance.max()) < 1e-6
    shares = torch.bincount(nearest, minlength=5) / 1000
    # Four standard errors of a share of 1/5 in 1000 draws, sqrt(.2 * .8 / 1000) = .0126
    assert shares.tolist() == pytest.approx([0.2] * 5, abs=4 * 0.0126)
    assert denoiser.evaluations == steps


MEAN = torch.tensor([0.5, -0.3, 0.0, 0.2], dtype=torch.float64)
MIX = torch.tensor(
    [[0.6, 0.0, 0.0, 0.0], [0.3, 0.5, 0.0, 0.0], [0.0, 0.2, 0.4, 0.0], [0.1, 0.0, -0.2, 0.3]],
    dtype=torch.float64,
)
COVARIANCE = MIX @ MIX.T


@samplers
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_samples_have_mean_and_covariance_of_gaussian_data(
    schedule: str, sampler: str, settings: dict[str, float]
) -> None:
    """10 000 samples in 500 steps against N(MEAN, COVARIANCE), with variances .06 to .55.

    Standard errors are s_i / sqrt(N) of a mean and at most sqrt(2 / N) s_i s_j of a covariance;
    four of them are allowed. Steps of finite length add an error of first order to the covariance,
    for this data at most 16 / steps (ancestral sampling, linear schedule); 20 / steps is allowed.
    """
    n, steps = 10_000, 500
    denoiser = ideal_denoiser(posterior_mean_of_gaussian(MEAN, COVARIANCE), schedule, 1000, "v")
    x = draw(sampler, denoiser, n, (1, 2, 2), steps=steps, **settings)
    std = COVARIANCE.diagonal().sqrt()
    assert bool(((x.mean(dim=0) - MEAN).abs() < 4 * std / n**0.5).all())
    error = (x.T.cov() - COVARIANCE).abs() / torch.outer(std, std)
    assert float(error.max()) < 4 * (2 / n) ** 0.5 + 20 / steps


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_deterministic_sampling_converges_at_first_order(schedule: str) -> None:
    """Twice the steps, half the error of the covariance, without any noise of sampling.

    On Gaussian data DDIM with eta = 0 is an affine map of the starting noise, so that six samples
    tell mean and covariance exactly.
    """
    start = StreamNoise(0, 6).normal(1, 2, 2).flatten(1)
    errors = []
    for steps in (125, 250, 500):
        denoiser = ideal_denoiser(posterior_mean_of_gaussian(MEAN, COVARIANCE), schedule, 1000, "v")
        x = draw("ddim", denoiser, 6, (1, 2, 2), steps=steps)
        map_ = torch.linalg.lstsq(torch.cat([torch.ones(6, 1), start], dim=1), x).solution
        # What noise is left at t = T - 1 hides the mean by alpha_T = .006 of it, at the most.
        torch.testing.assert_close(map_[0], MEAN, rtol=0, atol=0.01)
        errors.append(float((map_[1:].T @ map_[1:] - COVARIANCE).norm()))
    # The second order is still felt by a few percent.
    assert [errors[0] / errors[1], errors[1] / errors[2]] == pytest.approx([2, 2], rel=0.1)
