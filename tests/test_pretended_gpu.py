"""Every family and sampler on a pretended GPU: no mix of devices, and a budget of waits and copies.

A wait for the device (a sync) costs more than a small kernel, and a copy from the host is a wait.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pretended import GPU, PretendedGPU, PretendedTensor
from small_models import DIT, FACTS, SMALL, make_training, small_model, small_training

from genlab.config.families import build_family
from genlab.config.samplers import SAMPLERS, SamplerConfig
from genlab.models.base import build_model
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import draw
from genlab.training.trainer import make_accelerator

INDICES = 1
"""Copies to the device in every step: which images and captions it takes."""
EXTRA: dict[str, dict[str, int]] = {
    "cheater": {"syncs": 1},  # torch checks the eigenvalues of its covariance
    "flow_matching": {"to device": 1, "to host": 1},  # pairing by optimal transport is scipy's
}
SETTINGS: dict[str, dict[str, Any]] = {
    "ddim": {"eta": 0.5},
    "edm": {"churn": 10.0},
    "dpm-solver": {"stochastic": True},
    "dopri5": {"rtol": 0.5, "atol": 0.5},
    "unipc": {"order": 3},
}
PATH_SAMPLERS = [name for name in SAMPLERS if name not in ("prior", "tokens")]
TABLES = 3
"""Copies to the device for a trajectory: its classes, and the path's two tables of levels."""


@pytest.mark.parametrize("family", SMALL)
def test_a_training_step_waits_for_nothing_and_copies_the_numbers_of_its_images(
    family: str,
) -> None:
    """The second step; the first one also fills what is computed once. Losses are the CPU's."""
    on_cpu = small_training(family)
    expected = [on_cpu.step()[1]["loss"] for _ in range(2)]
    with PretendedGPU() as gpu:
        accelerator = make_accelerator("fp32", cpu=True)
        accelerator.state.device = GPU
        training = make_training(family, accelerator)
        first = training.step()[1]["loss"]
        gpu.take()
        second = training.step()[1]["loss"]
        counts = gpu.take()
    limits = {"to device": INDICES, "to host": 0, "syncs": 0}
    for name, extra in EXTRA.get(family, {}).items():
        limits[name] += extra
    assert {name: counts.get(name, 0) for name in limits} == limits
    # Attention has another kernel where gradients are needed, which sums in another order.
    assert isinstance(second, PretendedTensor) and isinstance(first, PretendedTensor)
    torch.testing.assert_close([first.host, second.host], expected, rtol=1e-5, atol=1e-6)


def sampler_of(name: str, **steps: int) -> SamplerConfig:
    values = {"sampler": name, **steps, **SETTINGS.get(name, {})}
    if name not in ("dopri5", "prior", "tokens"):
        values["precision"] = "fp32"
    return SAMPLERS[name].model_validate(values)


class CountedNoise(SampleNoise):
    """Counts how often noise was drawn: each time it is copied to the device."""

    draws = 0

    def normal(self, *shape: int) -> torch.Tensor:
        self.draws += 1
        return super().normal(*shape)


@pytest.mark.parametrize("name", PATH_SAMPLERS)
def test_a_sampler_copies_noise_and_waits_for_nothing(name: str) -> None:
    """For any number of steps. An adaptive one asks once a round which samples have arrived."""
    values = {"family": "ddpm", "timesteps": 10, "network": DIT}
    model = build_model(build_family(values, name), FACTS, 0).eval()
    sampler = sampler_of(name, **({} if name == "dopri5" else {"steps": 4}))
    expected = draw(model, sampler, SampleNoise(0, range(5))).images
    with PretendedGPU() as gpu:
        noise, model = CountedNoise(0, range(5), GPU), model.to(GPU)
        gpu.take()
        drawing = draw(model, sampler, noise)
        counts = gpu.take()
    assert isinstance(drawing.images, PretendedTensor)
    assert torch.equal(drawing.images.host, expected)
    assert counts.get("to host", 0) == 0
    if name == "dopri5":
        assert counts["syncs"] <= drawing.evaluations / 6  # six evaluations a round
    else:
        assert counts["syncs"] == 0
        assert counts["to device"] <= noise.draws + TABLES


@pytest.mark.parametrize("family", ["beta_vae", "code_prior", "dalle", "glow", "vae"])
def test_a_model_that_draws_in_one_pass_copies_its_noise_only(family: str) -> None:
    model = small_model(family).eval()
    sampler = sampler_of("tokens" if model.config.draws_tokens else "prior")
    expected = draw(model, sampler, SampleNoise(0, range(5))).images
    with PretendedGPU() as gpu:
        model = model.to(GPU)
        gpu.take()
        images = draw(model, sampler, SampleNoise(0, range(5), GPU)).images
        assert gpu.take() == {"syncs": 0, "to device": 1}
    assert isinstance(images, PretendedTensor)
    torch.testing.assert_close(images.host, expected, rtol=1e-5, atol=1e-6)


def test_the_pretended_gpu_refuses_what_a_gpu_refuses_and_counts_what_waits() -> None:
    """Otherwise the tests above say nothing."""
    with PretendedGPU() as gpu:
        x = torch.ones(3, device=GPU)
        with pytest.raises(AssertionError, match="on the CPU beside one on the GPU"):
            x + torch.ones(3)
        assert gpu.take() == {}
        y = torch.tensor([1.0, 0.0, 2.0], device=GPU) * torch.tensor(2.0)  # one number is fine
        assert float(y.sum()) == 6
        assert y[y > 0].cpu().tolist() == [2, 4]
        assert gpu.take() == {"syncs": 2, "to device": 1, "to host": 1}
    with pytest.raises(AssertionError, match="outside of `PretendedGPU`"):
        x + 1
