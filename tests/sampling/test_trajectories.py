"""Trajectories between noise and image: budgets, scales and conditions."""

from __future__ import annotations

import pytest
import torch
from oracles import PATHS
from tiny import SIDE, stripes
from torch import Tensor

from genlab.config.families.flow_matching import FlowMatchingConfig
from genlab.config.networks import UNetConfig
from genlab.config.samplers import SAMPLERS, SamplerConfig
from genlab.models.base import Facts, Model, build_model
from genlab.processes.gaussian import Denoiser
from genlab.processes.noise import SampleNoise
from genlab.sampling import trajectories
from genlab.sampling.trajectories import (
    BUDGETS,
    COLUMNS,
    INTERPOLATION_STEPS,
    PAIRS,
    SAMPLES,
    Trajectories,
    rescaled,
    sampler_with,
    trajectory,
)

KINDS = [name for name, kind in SAMPLERS.items() if kind.deterministic and kind.takes_steps]
SHAPE = (1, SIDE, SIDE)


@pytest.fixture
def model() -> Model:
    """A small conditional model with random weights."""
    network = UNetConfig(channels=4, multipliers=(1, 2), attention=())
    config = FlowMatchingConfig(conditional=True, network=network)
    return build_model(config, Facts(SHAPE, 2), seed=0).eval()


def of_stripes(model: Model) -> Trajectories:
    """Its samples of the classes in turn, and stripes of both classes, the second one first."""
    images, labels = stripes(COLUMNS, seed=0)
    conditions, image_conditions = torch.arange(SAMPLES) % 2, torch.from_numpy(1 - labels)
    pixels = torch.from_numpy(images)[:, None].float() / 255
    return Trajectories(model, 0, conditions, pixels, image_conditions, [])  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("evaluations", [1, *BUDGETS])
def test_a_budget_is_spent_to_the_last_evaluation(kind: str, evaluations: int) -> None:
    denoiser = Denoiser(lambda x, t, labels: 0.1 * x, PATHS["flow"], "velocity")
    trajectory(denoiser, sampler_with(kind, evaluations), SampleNoise(0, range(3)), (1, 2, 2))
    assert denoiser.evaluations == 3 * evaluations


def test_noise_between_two_noises_is_as_long_as_they_are(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A straight line between two of them would pass through lengths that noise never has."""
    starts: list[Tensor] = []

    def first_step(denoiser: Denoiser, sampler: SamplerConfig, noise: SampleNoise, shape: object
                   ) -> list[trajectories.Step]:  # fmt: skip
        starts.append(noise.normal(*SHAPE))
        return [trajectories.Step(starts[-1], starts[-1])]

    monkeypatch.setattr(trajectories, "trajectory", first_step)
    of_stripes(model).interpolation()
    lengths = starts[0].flatten(1).norm(dim=1).reshape(PAIRS, len(INTERPOLATION_STEPS))
    # |a| to |b| in even steps, to the roundings of float32
    expected = torch.lerp(lengths[:, :1], lengths[:, -1:], INTERPOLATION_STEPS)
    torch.testing.assert_close(lengths, expected)


@pytest.mark.parametrize("name", PATHS)
def test_what_is_shown_of_noisy_images_is_as_large_as_images(name: str) -> None:
    """x_t of images of pixels -1 and 1: its mean square stays 1 from noise to image."""
    path = PATHS[name]
    x0 = torch.randn(20_000, dtype=torch.float64).sign()
    eps = torch.randn(20_000, dtype=torch.float64)
    for t in torch.linspace(path.t_min, path.t_max, 7).tolist():
        alpha, sigma = path.level(t).scalars()
        x_t = rescaled(alpha * x0 + sigma * eps, (alpha, sigma))
        # The mean of 20,000 squares of variance 2 at most: five standard errors are 0.05.
        assert float(x_t.square().mean()) == pytest.approx(1, abs=0.05)


def test_samples_and_held_out_images_keep_their_conditions(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samples have the classes in turn, as in every row; held-out images have their own."""
    requested: list[list[int]] = []

    def recorded(labels: Tensor, guidance: float = 1.0) -> Denoiser:
        requested.append(labels.tolist())
        return Denoiser(lambda x, t, labels: 0.1 * x, model.path, "velocity", labels=labels)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "denoiser", recorded)
    subject = of_stripes(model)
    subject.denoising()
    subject.interpolation()
    subject.inversion()
    subject.inpainting()
    own = subject.image_conditions.tolist()
    assert own == [1, 0] * (COLUMNS // 2)
    assert requested[0] == [0, 1] * (COLUMNS // 2)
    assert requested[1] == [0] * len(INTERPOLATION_STEPS) * PAIRS  # of samples 0, 2, 4 ...
    assert all(classes == own * (len(classes) // len(own)) for classes in requested[2:])
