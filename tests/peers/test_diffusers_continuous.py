"""Samplers of ODEs and SDEs against those of Hugging Face diffusers, step by step.

Its Euler and Heun schedulers walk y = x / alpha over sigma / alpha: its Euler is `ddim` here with
eta = 0, and its Heun `edm` without churn, except on EDM's own path, where all are the same. They
round y to float32 in each step, which is 1e-7 of x.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from oracles import PATHS, StreamNoise
from torch import Tensor
from waves import SAMPLES, SHAPE, Case, answer, assert_same, noise

from genlab.config.gaussian import PredictionType
from genlab.config.samplers import Spacing
from genlab.processes.paths import DiscretePath
from genlab.samplers import find

diffusers = pytest.importorskip("diffusers")
scheduling_sde_vp = pytest.importorskip("diffusers.schedulers.deprecated.scheduling_sde_vp")


def own_states(case: Case, sampler: str, sigma_data: float = 1.0, **settings: Any) -> list[Tensor]:
    denoiser = case.denoiser(sigma_data=sigma_data)
    return [step.x for step in find(sampler)(denoiser, noise(), SHAPE, **settings)]


def scaled_states(case: Case, kind: str, steps: int, spacing: Spacing) -> Iterator[Tensor]:
    """x = alpha y of diffusers' Euler or Heun on a discrete path, after every whole step."""
    path = case.levels
    assert isinstance(path, DiscretePath)
    scheduler = getattr(diffusers, kind)(
        prediction_type={"eps": "epsilon", "v": "v_prediction"}[case.prediction],
        # Its Karras spacing ends at the last of these times, which 'linspace' makes the first level
        timestep_spacing="trailing" if spacing == "uniform" else "linspace",
        use_karras_sigmas=spacing == "karras",
    )
    scheduler.alphas_cumprod = path.alpha_bar
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0)
    scheduler.is_scale_input_called = True
    heun = kind == "HeunDiscreteScheduler"
    # The time of each evaluation: Heun's method is twice at all but the first.
    visits = [0, *(i for i in range(1, steps) for _ in range(1 + heun))]
    times = torch.tensor([*case.denoiser().times(steps, spacing), 0.0], dtype=torch.float64)
    alpha, sigma = path.level(times)
    ratios = (sigma / alpha)[[*visits, steps]]
    torch.testing.assert_close(scheduler.sigmas.double(), ratios, rtol=1e-5, atol=0)
    scheduler.sigmas = ratios
    y = noise().normal(*SHAPE) / alpha[0]
    # Between the evaluations of a step Heun's y is at the next time already.
    for i, j, their_t in zip(visits, [*visits[1:], steps], scheduler.timesteps, strict=True):
        network = answer(path, alpha[i] * y, float(times[i]))
        y = scheduler.step(network, their_t, y).prev_sample.double()
        if not heun or scheduler.state_in_first_order:
            yield alpha[j if not heun else i] * y
    if heun:
        yield y


@pytest.mark.parametrize("spacing", ["uniform", "karras"])
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_ddim_walks_as_diffusers_euler_does(prediction: PredictionType, spacing: Spacing) -> None:
    case = Case("linear", prediction)
    peer = scaled_states(case, "EulerDiscreteScheduler", 20, spacing)
    assert_same(own_states(case, "ddim", steps=20, spacing=spacing), peer)


@pytest.mark.parametrize("spacing", ["uniform", "karras"])
@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_edm_walks_as_diffusers_heun_does(prediction: PredictionType, spacing: Spacing) -> None:
    case = Case("linear", prediction)
    peer = scaled_states(case, "HeunDiscreteScheduler", 20, spacing)
    assert_same(own_states(case, "edm", steps=20, spacing=spacing), peer)


def edm_states(kind: str, steps: int, spacing: Spacing, **options: Any) -> Iterator[Tensor]:
    """x of diffusers' schedulers on EDM's path, with its preconditioning; s_d = 0.5."""
    path = PATHS["edm"]
    schedule = {"karras": "karras", "log-snr": "exponential"}[spacing]
    scheduler = getattr(diffusers, kind)(sigma_data=0.5, sigma_schedule=schedule, **options)
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0)
    times = Case("edm", "edm").denoiser().times(steps, spacing)
    ratios = torch.tensor([*times, 0.0], dtype=torch.float64)
    torch.testing.assert_close(scheduler.sigmas.double(), ratios, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        1000 * scheduler.timesteps.double(), path.conditioning(ratios[:-1]), rtol=1e-5, atol=1e-4
    )
    scheduler.sigmas = ratios
    x = 80 * noise().normal(*SHAPE)
    for t, their_t in zip(times, scheduler.timesteps, strict=True):
        scheduler.is_scale_input_called = True
        x = scheduler.step(answer(path, x, t), their_t, x).prev_sample.double()
        yield x


@pytest.mark.parametrize("sampler", ["euler", "ddim"])
@pytest.mark.parametrize("spacing", ["karras", "log-snr"])
def test_euler_walks_as_diffusers_edm_euler_does(spacing: Spacing, sampler: str) -> None:
    own = own_states(Case("edm", "edm"), sampler, 0.5, steps=20, spacing=spacing)
    assert_same(own, edm_states("EDMEulerScheduler", 20, spacing))


@pytest.mark.parametrize("spacing", ["karras", "log-snr"])
def test_dpm_solver_walks_as_diffusers_does_on_edm_s_path(spacing: Spacing) -> None:
    own = own_states(Case("edm", "edm"), "dpm-solver", 0.5, steps=20, spacing=spacing)
    peer = edm_states("EDMDPMSolverMultistepScheduler", 20, spacing, lower_order_final=False)
    assert_same(own, peer)


def test_flow_matching_walks_as_diffusers_euler_does() -> None:
    case = Case("flow", "velocity")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    times = case.denoiser().times(20)
    scheduler.set_timesteps(sigmas=times)
    scheduler.sigmas = torch.tensor([*times, 0.0], dtype=torch.float64)
    states, x = [], noise().normal(*SHAPE)
    for t, their_t in zip(times, scheduler.timesteps, strict=True):
        x = scheduler.step(answer(case.levels, x, t), their_t, x).prev_sample.double()
        states.append(x)
    assert_same(own_states(case, "euler", steps=20), states)


def score(case: Case, x: Tensor, t: float) -> Tensor:
    """-eps / sigma of an eps-prediction."""
    return -answer(case.levels, x, t).to(x.dtype) / float(case.levels.level(t).sigma)


def test_euler_maruyama_walks_as_diffusers_sde_vp_does() -> None:
    """All but the last step, which is x_0 alone here; it is told eps for the score."""
    case, steps = Case("vp", "eps"), 20
    scheduler = scheduling_sde_vp.ScoreSdeVpScheduler()
    scheduler.set_timesteps(steps)
    draws = noise()
    states, x = [], draws.normal(*SHAPE)
    for t in case.denoiser().times(steps)[:-1]:
        at = torch.full((SAMPLES,), t, dtype=torch.float64)
        x, _ = scheduler.step_pred(answer(case.levels, x, t), x, at, generator=draws.stream)
        states.append(x)
    assert_same(own_states(case, "euler-maruyama", steps=steps)[:-1], states)


class SinglesNoise(StreamNoise):
    """The same stream in float32, as the Langevin step of diffusers draws from it."""

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.samples, *shape, generator=self.stream)


@pytest.mark.parametrize("corrections", [0, 1, 2])
def test_predictor_corrector_walks_as_diffusers_sde_ve_does(corrections: int) -> None:
    """One sample, since norms are means over a batch there; the last step is x_0 in both."""
    case, steps = Case("ve", "eps"), 20
    own = find("predictor-corrector")(
        case.denoiser(), SinglesNoise(0, 1), SHAPE, steps=steps, corrections=corrections, snr=0.2
    )
    scheduler = diffusers.ScoreSdeVeScheduler(snr=0.2)
    scheduler.set_timesteps(steps)
    times = case.denoiser().times(steps)
    levels = case.levels.level(torch.tensor(times, dtype=torch.float64))
    scheduler.discrete_sigmas = levels.sigma.flip(0).float()
    draws = SinglesNoise(0, 1)
    x = levels.sigma[0].float() * draws.normal(*SHAPE)
    states = []
    for i, t in enumerate(times):
        their_t = (steps - 1 - i + 0.1) / (steps - 1)  # which it cuts off to a whole index
        done = scheduler.step_pred(score(case, x, t), their_t, x, draws.stream)
        x = done.prev_sample
        if i == steps - 1:
            x = done.prev_sample_mean
        else:
            for _ in range(corrections):
                x = scheduler.step_correct(
                    score(case, x, times[i + 1]), x, draws.stream
                ).prev_sample
        states.append(x)
    assert_same([step.x for step in own], states)
