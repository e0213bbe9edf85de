"""The adaptive sampler: what it draws is the ODE's, whatever its batch, and x_0 on the way."""

from __future__ import annotations

import pytest
import torch
from oracles import (
    PATHS,
    StreamNoise,
    ideal_denoiser,
    posterior_mean_of_gaussian,
    posterior_mean_of_points,
)
from torch import Tensor

from genlab.processes.gaussian import Denoiser
from genlab.processes.noise import SampleNoise
from genlab.processes.paths import DiscretePath, GaussianPath
from genlab.samplers import dopri5, start

paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
SHAPE = (1, 2, 2)


def standard_denoiser(path: GaussianPath, std: float = 0.5) -> Denoiser:
    """Of data N(0, std^2 I)."""
    covariance = std**2 * torch.eye(4, dtype=torch.float64)
    return ideal_denoiser(
        posterior_mean_of_gaussian(torch.zeros(4).double(), covariance), path, "v"
    )


@paths
def test_gaussian_data_is_reached_by_scaling(path: GaussianPath) -> None:
    """The ODE's solution for N(0, s^2 I) is x_t proportional to sqrt(alpha^2 s^2 + sigma^2).

    The last denoising multiplies by alpha s^2 / (alpha^2 s^2 + sigma^2).
    """
    s = 0.5
    *_, last = dopri5.sample(standard_denoiser(path, s), StreamNoise(0, 20), SHAPE,
                             rtol=1e-6, atol=1e-6)  # fmt: skip

    def spread(t: float) -> float:
        alpha, sigma = path.level(t).scalars()
        return float((alpha**2 * s**2 + sigma**2) ** 0.5)

    end = float(path.time_of(torch.tensor(path.ratios[0])))
    alpha = path.level(end).scalars()[0]
    x = start(standard_denoiser(path), StreamNoise(0, 20), SHAPE, path.t_max)
    expected = x * spread(end) / spread(path.t_max) * alpha * s**2 / spread(end) ** 2
    # Tens of steps of 1e-6 each. The speed of a discrete path jumps at each of its 1000 levels, by
    # which long steps, blind for it, may be wrong by half a level.
    allowed = 5e-4 if isinstance(path, DiscretePath) else 1e-4
    torch.testing.assert_close(last.x, expected, rtol=0, atol=allowed)


@paths
def test_every_sample_is_a_point_of_a_finite_data_set(path: GaussianPath) -> None:
    points = 2 * torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    denoiser = ideal_denoiser(posterior_mean_of_points(points - 1), path, "v")
    steps = list(dopri5.sample(denoiser, StreamNoise(0, 100), SHAPE))
    *_, before, last = steps
    distance, nearest = torch.cdist(last.x.flatten(1), points - 1).min(dim=1)
    assert float(distance.max()) < 1e-4
    assert set(nearest.tolist()) == set(range(5))
    assert torch.equal(before.x0, last.x)
    # Six evaluations a try, and two to begin with; those that have arrived take none.
    assert denoiser.evaluations < 100 * (2 + 6 * (len(steps) - 1))


def test_x0_on_the_way_is_the_denoisers() -> None:
    """Found from x_t and dx/dt, it is E[x_0 | x_t] where every sample stands."""
    path = PATHS["flow"]
    denoiser = standard_denoiser(path)
    end = float(path.time_of(torch.tensor(path.ratios[0])))
    *steps, _ = dopri5.sample(denoiser, StreamNoise(0, 1), SHAPE)
    # For this data x_0 = gain x_t, of a gain that tells alpha and sigma, that is, the time.
    gains = [float((step.x0 / step.x).mean()) for step in steps]
    alpha, sigma = path.level(end).scalars()
    assert gains[-1] == pytest.approx(alpha / 4 / (alpha**2 / 4 + sigma**2), rel=1e-9)
    for step, gain in zip(steps, gains, strict=True):
        torch.testing.assert_close(step.x0, gain * step.x, rtol=1e-9, atol=1e-12)
    assert all(gain > 0 for gain in gains)


def test_samples_and_their_evaluations_do_not_depend_on_the_batch() -> None:
    """With labels, each sample keeps its own when others have arrived."""
    path = PATHS["vp"]
    means = torch.tensor([-0.8, 0.0, 0.9], dtype=torch.float64)

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        alpha, sigma = (part[:, None, None, None] for part in path.level(t))
        mean, variance = (
            means[labels][:, None, None, None],
            0.01 * (labels + 1)[:, None, None, None],
        )
        return mean + alpha * variance / (alpha**2 * variance + sigma**2) * (x - alpha * mean)

    def run(which: range) -> tuple[Tensor, int]:
        labels = torch.tensor([i % 3 for i in which])
        denoiser = Denoiser(network, path, "x0", clip=False, labels=labels)
        *_, last = dopri5.sample(denoiser, SampleNoise(0, which), SHAPE)
        return last.x, denoiser.evaluations

    together, evaluations = run(range(12))
    parts = [run(range(i, i + size)) for i, size in ((0, 1), (1, 4), (5, 7))]
    assert torch.equal(torch.cat([x for x, _ in parts]), together)
    assert evaluations == sum(count for _, count in parts)
    result = together.mean(dim=(1, 2, 3)).reshape(4, 3).mean(dim=0)
    # Means of 16 pixels of standard deviation up to .17
    assert result.tolist() == pytest.approx(means.tolist(), abs=4 * 0.17 / 4)
