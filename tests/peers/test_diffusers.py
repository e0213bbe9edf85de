"""Schedules and samplers against those of Hugging Face diffusers, step by step.

Both walk in float64, from the same levels, on the same noise, through the same network: what is
compared is the formulas. (Left to itself, diffusers keeps its levels in float32.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, get_args

import pytest
import torch
from oracles import StreamNoise
from torch import Tensor

from genlab.processes.gaussian import Denoiser, Prediction
from genlab.processes.schedules import SCHEDULES, respaced
from genlab.samplers import Step, find

diffusers = pytest.importorskip("diffusers")

SAMPLES, SHAPE = 4, (1, 3, 3)


def wavy(x: Tensor, t: Tensor) -> Tensor:
    """An arbitrary deterministic network, of outputs large enough to be clipped."""
    return 1.5 * torch.sin(2 * x + t[:, None, None, None] / 300)


class Case(NamedTuple):
    """A path and what the network predicts on it."""

    schedule: str
    timesteps: int
    prediction: Prediction
    clip: bool

    @property
    def alpha_bar(self) -> Tensor:
        return torch.cumprod(1 - SCHEDULES[self.schedule](self.timesteps), dim=0)


def own_walk(case: Case, sampler: str, **settings: Any) -> Iterator[Step]:
    denoiser = Denoiser(wavy, case.alpha_bar, case.prediction, case.clip)
    return find(sampler)(denoiser, StreamNoise(0, SAMPLES), SHAPE, **settings)


def peer_walk(
    case: Case, kind: str, steps: int, options: dict[str, Any], **settings: Any
) -> Iterator[Step]:
    """The walk of the diffusers scheduler `kind`, on the noise of the stream of seed 0."""
    scheduler = getattr(diffusers, kind)(
        num_train_timesteps=case.timesteps,
        prediction_type={"eps": "epsilon", "v": "v_prediction"}[case.prediction],
        clip_sample=case.clip,
        timestep_spacing="trailing",
        **options,
    )
    scheduler.alphas_cumprod = case.alpha_bar
    scheduler.set_timesteps(steps)
    noise = StreamNoise(0, SAMPLES)
    x = noise.normal(*SHAPE)
    for t in scheduler.timesteps:
        times = torch.full((SAMPLES,), int(t) * (1000 / case.timesteps), dtype=torch.float32)
        done = scheduler.step(wavy(x, times), t, x, generator=noise.stream, **settings)
        x = done.prev_sample
        yield Step(x, done.pred_original_sample)


def assert_same(own: Iterator[Step], peer: Iterator[Step]) -> None:
    """All states agree to 1e-5.

    In fact to 2e-8, at worst where eps-prediction says x_0 = 50 000 and float64 keeps 16 digits.
    """
    for ours, theirs in zip(own, peer, strict=True):
        torch.testing.assert_close(ours.x, theirs.x, rtol=0, atol=1e-5)
        torch.testing.assert_close(ours.x0, theirs.x0, rtol=0, atol=1e-5)


networks = pytest.mark.parametrize(
    ("schedule", "prediction", "clip"),
    [(s, p, c) for s in SCHEDULES for p in get_args(Prediction) for c in (True, False)],
)


@networks
@pytest.mark.parametrize(("timesteps", "steps"), [(250, 250), (1000, 50), (1000, 30)])
def test_ddpm_walks_as_diffusers_does(
    schedule: str, prediction: Prediction, clip: bool, timesteps: int, steps: int
) -> None:
    case = Case(schedule, timesteps, prediction, clip)
    assert_same(
        own_walk(case, "ddpm", steps=steps),
        peer_walk(case, "DDPMScheduler", steps, {"variance_type": "fixed_small"}),
    )


@networks
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("timesteps", "steps"), [(250, 250), (1000, 50)])
def test_ddim_walks_as_diffusers_does(
    schedule: str, prediction: Prediction, clip: bool, timesteps: int, steps: int, eta: float
) -> None:
    """Steps divide T, since diffusers' DDIM takes t - T // steps for the time before t."""
    case = Case(schedule, timesteps, prediction, clip)
    peer = peer_walk(
        case,
        "DDIMScheduler",
        steps,
        {"set_alpha_to_one": True},
        eta=eta,
        use_clipped_model_output=clip,
    )
    assert_same(own_walk(case, "ddim", steps=steps, eta=eta), peer)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_all_thousand_steps(sampler: str) -> None:
    """The longest walk, of the settings that training uses by default."""
    case = Case("cosine", 1000, "v", True)
    peer = {
        "ddpm": lambda: peer_walk(case, "DDPMScheduler", 1000, {"variance_type": "fixed_small"}),
        "ddim": lambda: peer_walk(case, "DDIMScheduler", 1000, {}, use_clipped_model_output=True),
    }
    assert_same(own_walk(case, sampler, steps=1000), peer[sampler]())


@pytest.mark.parametrize(
    ("schedule", "name", "options"),
    [
        ("linear", "linear", {"beta_start": 1e-4, "beta_end": 0.02}),
        ("cosine", "squaredcos_cap_v2", {}),
    ],
)
def test_schedules_are_those_of_diffusers(
    schedule: str, name: str, options: dict[str, float]
) -> None:
    """Betas agree to the rounding of diffusers' float32, 2**-24 of a beta below 1."""
    peer = diffusers.DDPMScheduler(num_train_timesteps=1000, beta_schedule=name, **options)
    torch.testing.assert_close(
        SCHEDULES[schedule](1000), peer.betas.double(), rtol=1e-6, atol=2**-24
    )


@pytest.mark.parametrize("steps", [1000, 50, 30, 7])
def test_spacing_is_diffusers_trailing(steps: int) -> None:
    peer = diffusers.DDPMScheduler(num_train_timesteps=1000, timestep_spacing="trailing")
    peer.set_timesteps(steps)
    assert respaced(1000, steps) == peer.timesteps.tolist()
