"""Discrete schedules and their samplers against those of Hugging Face diffusers, step by step.

Both walk from the same levels, on the same noise, through the same network: what is compared is the
formulas. diffusers keeps its levels in float32; it is given ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from waves import SAMPLES, SHAPE, Case, answer, assert_same, noise, wavy, with_variance

from genlab.config.gaussian import PredictionType
from genlab.config.samplers import Spacing
from genlab.processes.paths import SCHEDULES, DiscretePath, respaced, with_zero_terminal_snr
from genlab.samplers import Step, find

diffusers = pytest.importorskip("diffusers")

PREDICTION = {"eps": "epsilon", "x0": "sample", "v": "v_prediction"}


def own_walk(
    case: Case, sampler: str, network: Callable[..., Tensor] = wavy, **settings: Any
) -> list[Step]:
    return list(find(sampler)(case.denoiser(network), noise(), SHAPE, **settings))


def peer_walk(
    case: Case,
    kind: str,
    steps: int,
    options: dict[str, Any],
    network: Callable[..., Tensor] = wavy,
    **settings: Any,
) -> Iterator[Step]:
    """The walk of the diffusers scheduler `kind`, on the noise of the stream of seed 0."""
    path = case.levels
    assert isinstance(path, DiscretePath)
    scheduler = getattr(diffusers, kind)(
        num_train_timesteps=len(path),
        prediction_type=PREDICTION[case.prediction],
        clip_sample=case.clip,
        timestep_spacing="trailing",
        **options,
    )
    scheduler.alphas_cumprod = path.alpha_bar
    scheduler.set_timesteps(steps)
    draws = noise()
    x = draws.normal(*SHAPE)
    for t in scheduler.timesteps:
        times = torch.full((SAMPLES,), int(t) * (1000 / len(path)), dtype=torch.float64)
        done = scheduler.step(network(x, times), t, x, generator=draws.stream, **settings)
        x = done.prev_sample
        yield Step(x, done.pred_original_sample)


def assert_same_walk(own: list[Step], peer: Iterator[Step]) -> None:
    theirs = list(peer)
    assert_same([step.x for step in own], [step.x for step in theirs])
    assert_same([step.x0 for step in own], [step.x0 for step in theirs])


networks = pytest.mark.parametrize(
    "case",
    [
        Case(path, prediction, clip)
        for path in ("linear", "cosine", "sigmoid", "zero-snr")
        for prediction in ("eps", "x0", "v")
        for clip in (True, False)
        if (path, prediction) != ("zero-snr", "eps")  # noise alone tells nothing of x_0
    ],
    ids=lambda case: "-".join(map(str, case[:3])),
)


@networks
def test_ddpm_walks_as_diffusers_does(case: Case) -> None:
    peer = peer_walk(case, "DDPMScheduler", 30, {"variance_type": "fixed_small"})
    assert_same_walk(own_walk(case, "ddpm", steps=30), peer)


@pytest.mark.parametrize(
    ("variance", "name"), [("large", "fixed_large"), ("learned", "learned_range")]
)
@pytest.mark.parametrize("path", ["linear", "cosine", "sigmoid", "zero-snr"])
def test_larger_and_learned_variances_are_those_of_diffusers(
    path: str, variance: str, name: str
) -> None:
    """In all steps there are: diffusers adds noise to a last step that comes from t > 0."""
    case = Case(path, "v", clip=True, timesteps=100)
    network = with_variance if variance == "learned" else wavy
    assert_same_walk(
        own_walk(case, "ddpm", network, steps=100, variance=variance),
        peer_walk(case, "DDPMScheduler", 100, {"variance_type": name}, network),
    )


@networks
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_walks_as_diffusers_does(case: Case, eta: float) -> None:
    """Steps divide T, since diffusers' DDIM takes t - T // steps for the time before t."""
    settings = {"eta": eta, "use_clipped_model_output": case.clip}
    peer = peer_walk(case, "DDIMScheduler", 25, {"set_alpha_to_one": True}, wavy, **settings)
    assert_same_walk(own_walk(case, "ddim", steps=25, eta=eta), peer)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_all_thousand_steps(sampler: str) -> None:
    """The longest walk, of the settings that training uses by default."""
    case = Case("cosine", "v", clip=True)
    peer = {
        "ddpm": lambda: peer_walk(case, "DDPMScheduler", 1000, {"variance_type": "fixed_small"}),
        "ddim": lambda: peer_walk(case, "DDIMScheduler", 1000, {}, use_clipped_model_output=True),
    }
    assert_same_walk(own_walk(case, sampler, steps=1000), peer[sampler]())


def dpm_solver_states(
    case: Case, steps: int, spacing: Spacing, stochastic: bool
) -> Iterator[Tensor]:
    """The walk of diffusers' DPM-Solver++, of order 2, whose last step is of order 1."""
    path = case.levels
    assert isinstance(path, DiscretePath)
    scheduler = diffusers.DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver++" if stochastic else "dpmsolver++",
        solver_order=2,
        prediction_type=PREDICTION[case.prediction],
        timestep_spacing="trailing",
        use_karras_sigmas=spacing == "karras",
        use_lu_lambdas=spacing == "log-snr",
        lower_order_final=False,
    )
    scheduler.alphas_cumprod = path.alpha_bar
    scheduler.set_timesteps(steps)
    scheduler.set_begin_index(0)
    times = case.denoiser().times(steps, spacing)
    alpha, sigma = path.level(torch.tensor([*times, 0.0], dtype=torch.float64))
    torch.testing.assert_close(scheduler.sigmas.double(), sigma / alpha, rtol=1e-5, atol=0)
    scheduler.sigmas = sigma / alpha
    draws = noise()
    x = draws.normal(*SHAPE)
    for t, their_t in zip(times, scheduler.timesteps, strict=True):
        z = draws.normal(*SHAPE) if stochastic else None
        x = scheduler.step(answer(path, x, t), their_t, x, variance_noise=z).prev_sample
        yield x


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("prediction", ["eps", "x0", "v"])
@pytest.mark.parametrize(
    ("path", "spacing"),
    [
        ("linear", "uniform"),
        ("linear", "karras"),
        ("linear", "log-snr"),
        ("cosine", "uniform"),
        ("sigmoid", "uniform"),
    ],
)
def test_dpm_solver_walks_as_diffusers_does(
    path: str, spacing: Spacing, prediction: PredictionType, stochastic: bool
) -> None:
    """x_t of both; diffusers' 'lu' places log(sigma / alpha) evenly, as 'log-snr' does.

    Of the cosine and sigmoid paths diffusers takes all 20 291 or 200 for the largest ratio, where
    GenLab stops at 160.
    """
    case = Case(path, prediction)
    own = own_walk(case, "dpm-solver", steps=20, spacing=spacing, stochastic=stochastic)
    peer = dpm_solver_states(case, 20, spacing, stochastic)
    assert_same([step.x for step in own], peer)


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


def test_zero_terminal_snr_is_that_of_diffusers() -> None:
    """float32 makes 1e-6 of a product of a thousand; the last level is 0 in both."""
    peer = diffusers.DDPMScheduler(num_train_timesteps=1000, rescale_betas_zero_snr=True)
    alpha_bar = torch.cumprod(1 - with_zero_terminal_snr(SCHEDULES["linear"](1000)), dim=0)
    torch.testing.assert_close(alpha_bar, peer.alphas_cumprod.double(), rtol=0, atol=1e-5)
    assert float(alpha_bar[-1]) == float(peer.alphas_cumprod[-1]) == 0


@pytest.mark.parametrize("steps", [1000, 50, 30, 7])
def test_spacing_is_diffusers_trailing(steps: int) -> None:
    peer = diffusers.DDPMScheduler(num_train_timesteps=1000, timestep_spacing="trailing")
    peer.set_timesteps(steps)
    assert respaced(1000, steps) == peer.timesteps.tolist()
