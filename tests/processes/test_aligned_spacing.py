"""The spacing `aligned`: the speed of a prediction, and where steps cost the least error."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
import torch
from oracles import (
    PATHS,
    StreamNoise,
    awake,
    ideal_denoiser,
    posterior_mean_of_gaussian,
    posterior_mean_of_points,
)
from torch import Tensor

from genlab.config.families.ddpm import DDPMConfig
from genlab.config.networks import UNetConfig
from genlab.config.samplers import SAMPLERS, PathSpacing, Spacing, SteppedSampler
from genlab.config.samplers.dpm_solver import DPMSolverSampler
from genlab.errors import GenLabError
from genlab.models.base import Facts, build_model
from genlab.models.ddpm import DDPM
from genlab.processes import gaussian
from genlab.processes.gaussian import Denoiser, prediction_speed
from genlab.processes.noise import SampleNoise
from genlab.processes.paths import GaussianPath
from genlab.processes.spacing import PredictionSpeed, aligned_times, step_times
from genlab.samplers import dpm_solver
from genlab.sampling.draw import draw, steps_of

paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
STEPPED = [kind for kind in SAMPLERS.values() if issubclass(kind, SteppedSampler)]
SMALL = DDPMConfig(network=UNetConfig(channels=8, multipliers=(1, 2), attention=(1,)))


def log_ratios(path: GaussianPath, times: list[float]) -> Tensor:
    alpha, sigma = path.level(torch.tensor(times, dtype=torch.float64))
    return (sigma / alpha).log()


def bell(logs: Tensor) -> Tensor:
    """A squared speed Q that is high around r = e."""
    return torch.exp(-((logs - 1) ** 2) / 4.5) + 0.02


def held_error(edges: Tensor) -> float:
    """The integral of Q b^2 over all steps between `edges`, b the distance into a step."""
    shares = (torch.arange(50, dtype=torch.float64) + 0.5) / 50
    widths = -edges.diff()
    inside = edges[:-1, None] - widths[:, None] * shares
    return float((bell(inside) * (widths[:, None] * shares) ** 2 * widths[:, None] / 50).sum())


@paths
def test_the_error_of_holding_a_prediction_is_least(path: GaussianPath) -> None:
    """Hoelder: no N steps have less than (integral of Q^(1/3))^3 / (3 N^2), for many steps."""
    low, high = (math.log(ratio) for ratio in path.ratios)
    logs = torch.linspace(high, low, 4001, dtype=torch.float64)
    speed = PredictionSpeed(logs, bell((logs[1:] + logs[:-1]) / 2))
    steps = 300
    times = aligned_times(path, steps, speed)
    whole_cells = log_ratios(path, times)[1:]  # the first step and the last one are half as heavy
    least = float((speed.squared ** (1 / 3)).sum() * (high - low) / 4000) ** 3 / (3 * steps**2)
    assert held_error(whole_cells) == pytest.approx(least, rel=0.03)
    for spacing in get_args(PathSpacing)[2:]:  # those that are even in a function of r
        assert held_error(log_ratios(path, step_times(path, steps, spacing))) > 1.2 * least


@paths
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_times_fall_from_the_path_s_highest_ratio(path: GaussianPath, steps: int) -> None:
    low, high = (math.log(ratio) for ratio in path.ratios)
    logs = torch.linspace(high, low, 20, dtype=torch.float64)
    unmoved = torch.zeros(19, dtype=torch.float64)
    for squared in (bell(logs[1:]), unmoved):
        times = aligned_times(path, steps, PredictionSpeed(logs, squared))
        assert len(times) == steps
        assert log_ratios(path, times[:1]).item() == pytest.approx(high, rel=1e-6)
        assert all(later < earlier for earlier, later in pairwise(times))
        assert times[-1] > 0


def test_no_steps_are_refused() -> None:
    logs = torch.tensor([1.0, 0.0], dtype=torch.float64)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        aligned_times(PATHS["vp"], 0, PredictionSpeed(logs, logs[:1]))


@pytest.mark.parametrize("path", ["cosine", "vp", "ve", "edm", "flow"])
def test_the_speed_of_gaussian_data_has_a_closed_form(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On N(0, s^2) the ODE carries x_0 = s^2 / sqrt(s^2 + r^2) z, so
    Q = s^4 r^4 / (s^2 + r^2)^3 E z^2. DDIM's error is of first order: 1 % with 600 steps."""
    monkeypatch.setattr(gaussian, "SPEED_STEPS", 600)
    s, size = 0.7, 4
    mean, covariance = torch.zeros(size, dtype=torch.float64), torch.eye(size, dtype=torch.float64)
    data = posterior_mean_of_gaussian(mean, s**2 * covariance)
    denoiser = ideal_denoiser(data, PATHS[path], "x0")
    logs, squared = prediction_speed(denoiser, StreamNoise(0, 64), (size,))
    z = StreamNoise(0, 64).normal(size)
    r = ((logs[1:] + logs[:-1]) / 2).exp()
    # x starts at prior_std z, and the exact solution grows like sqrt(s^2 alpha^2 + sigma^2).
    first = denoiser.times(600, "log-snr")[0]
    alpha, sigma = denoiser.level(first)
    started = PATHS[path].prior_std(first) / math.hypot(s * alpha, sigma)
    expected = s**4 * r**4 / (s**2 + r**2) ** 3 * float(z.square().mean()) * started**2
    torch.testing.assert_close(squared, expected, rtol=0.02, atol=1e-3 * float(expected.max()))


def test_ten_aligned_steps_err_less_than_half_as_much_as_ten_of_edm() -> None:
    """The ideal denoiser of some points is known; the exact end is that of 400 steps."""
    points = torch.randn(20, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ideal = ideal_denoiser(posterior_mean_of_points(points), PATHS["edm"], "x0")
    speed = prediction_speed(ideal, StreamNoise(1, 256), (16,))
    denoiser = replace(ideal, speed=lambda: speed)

    def ends(steps: int, spacing: Spacing) -> Tensor:
        noise = StreamNoise(0, 500)
        return list(dpm_solver.sample(denoiser, noise, (16,), steps=steps, spacing=spacing))[-1].x

    exact = ends(400, "karras")
    aligned, karras = (
        float((ends(10, spacing) - exact).square().mean()) for spacing in ("aligned", "karras")
    )
    assert aligned < karras / 2


def make_model() -> DDPM:
    model = awake(build_model(SMALL, Facts((1, 8, 8), 3), 0))
    assert isinstance(model, DDPM)
    return model


@pytest.mark.parametrize(
    "sampler",
    [kind(steps=4, spacing="aligned") for kind in STEPPED],
    ids=lambda sampler: sampler.sampler,
)
def test_a_sample_does_not_depend_on_its_batch(sampler: SteppedSampler) -> None:
    together = draw(make_model(), sampler, SampleNoise(3, range(5))).images
    for i in (0, 4):
        alone = draw(make_model(), sampler, SampleNoise(3, range(i, i + 1))).images
        assert torch.equal(alone[0], together[i])


def test_the_speed_is_measured_once_for_the_same_weights() -> None:
    model = make_model()
    speed = model.speed()
    assert model.speed() is speed and model.denoiser().speed is not None
    model.train()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.5)
    assert not torch.equal(model.eval().speed().squared, speed.squared)
    drawing = draw(model, DPMSolverSampler(steps=4, spacing="aligned"), SampleNoise(0, range(2)))
    assert drawing.evaluations == 4  # those of the measurement aren't those of a sample


def test_a_denoiser_without_a_model_says_what_is_missing() -> None:
    bare = Denoiser(lambda x, t, labels: x, PATHS["flow"], "x0")
    sampler = DPMSolverSampler(steps=4, spacing="aligned")
    with pytest.raises(GenLabError, match=r"sampler 'dpm-solver': .*speed of a model's prediction"):
        list(steps_of(bare, sampler, SampleNoise(0, range(2)), (1, 2, 2)))
