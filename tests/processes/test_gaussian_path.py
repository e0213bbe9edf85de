"""The Gaussian path and the denoiser: conversions, clipping, guidance, counting."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import PATHS
from torch import Tensor

from genlab.config.gaussian import PredictionType
from genlab.processes.gaussian import Denoiser, Prediction, over_pixels, solve_for_ends, target_row
from genlab.processes.paths import GaussianPath, NoiseLevel

paths = pytest.mark.parametrize("path", PATHS.values(), ids=list(PATHS))
predictions = pytest.mark.parametrize("prediction", get_args(PredictionType))
shares, seeds = st.floats(0, 1), st.integers(0, 2**32)
kinds = st.sampled_from(get_args(PredictionType))


def time(path: GaussianPath, share: float) -> Tensor:
    """A time from t_min to t_max, [1]; as often near the image as far from it."""
    return torch.tensor([path.t_min * (path.t_max / path.t_min) ** share], dtype=torch.float64)


def amplification(level: NoiseLevel, a: Tensor, b: Tensor) -> float:
    """By how much rounding of (x_t, target) may grow on the way to the ends: rows / determinant."""
    largest = max(float(part.abs()) for part in (*level, a, b))
    return largest**2 / float((level.alpha * b - level.sigma * a).abs())


@paths
@settings(max_examples=200)
@given(source=kinds, other=kinds, share=shares, sigma_data=st.floats(0.1, 3), seed=seeds)
def test_whatever_was_predicted_says_whatever_is_asked(
    path: GaussianPath,
    source: PredictionType,
    other: PredictionType,
    share: float,
    sigma_data: float,
    seed: int,
) -> None:
    """(x0, eps) -> one target -> both ends -> another target, as from the true ends."""
    t = time(path, share)
    level, rates = path.level(t), path.rates(t)
    # Where alpha is 0, the noise does not determine x_0.
    assume(float(level.alpha) > 0 or source not in ("eps", "score"))
    first, second = (target_row(kind, level, rates, sigma_data) for kind in (source, other))
    random = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, 1, 1, 2, 2, dtype=torch.float64, generator=random)
    target = first[0] * x0 + first[1] * eps
    result = solve_for_ends(target, level.alpha * x0 + level.sigma * eps, level, first)
    again, expected = (second[0] * one[0] + second[1] * one[1] for one in (result, (x0, eps)))
    # float64's 1e-16 of numbers of size 1, through the solution of the system and the second row
    allowed = 1e-14 * amplification(level, *first) * max(1, *(float(c.abs()) for c in second))
    torch.testing.assert_close(again, expected, rtol=0, atol=allowed)


@given(sigma=st.floats(0.002, 80), sigma_data=st.floats(0.1, 2), seed=seeds)
def test_edm_prediction_is_the_papers_preconditioning(
    sigma: float, sigma_data: float, seed: int
) -> None:
    """D = c_skip x + c_out F with table 1's c_skip and c_out (Karras et al. 2022)."""
    x, f = torch.randn(
        2, 1, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    path, t = PATHS["edm"], torch.tensor([sigma], dtype=torch.float64)
    level = path.level(t)
    x0, _ = solve_for_ends(f, x, level, target_row("edm", level, path.rates(t), sigma_data))
    c_skip = sigma_data**2 / (sigma**2 + sigma_data**2)
    c_out = sigma * sigma_data / (sigma**2 + sigma_data**2) ** 0.5
    torch.testing.assert_close(x0, c_skip * x + c_out * f, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine", "zero-snr", "vp"])
def test_edm_prediction_is_minus_v_where_variance_is_kept(name: str) -> None:
    path = PATHS[name]
    t = torch.linspace(path.t_min, path.t_max, 50, dtype=torch.float64)
    level, rates = path.level(t), path.rates(t)
    for of_edm, of_v in zip(
        target_row("edm", level, rates), target_row("v", level, rates), strict=True
    ):
        torch.testing.assert_close(of_edm, -of_v, rtol=1e-12, atol=1e-12)


def wavy(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
    """An arbitrary deterministic network, of outputs large enough to be clipped."""
    shift = t if labels is None else t + labels
    return 2 * torch.sin(3 * x + shift.to(x.dtype)[:, None, None, None])


@paths
@predictions
def test_clipping_bounds_x0_and_derives_eps_anew(
    path: GaussianPath, prediction: PredictionType
) -> None:
    """Clipped or not, the two ends still make up x_t; clipped, x_0 is the clamped one."""
    x = torch.randn(40, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.cat([time(path, share) for share in torch.linspace(0, 0.99, 40).tolist()])
    free = Denoiser(wavy, path, prediction, clip=False)
    alpha, sigma = (over_pixels(part) for part in path.level(t))
    x0, eps, variance = replace(free, clip=True)(x, t)
    assert variance is None
    assert float(x0.abs().max()) <= 1
    assert torch.equal(x0, free(x, t).x0.clamp(-1, 1))
    for result in (Prediction(x0, eps), free(x, t)):
        # float64's rounding, of ends of up to 1e4 at the faintest levels
        torch.testing.assert_close(alpha * result.x0 + sigma * result.eps, x, rtol=0, atol=1e-10)


@paths
def test_the_velocity_is_the_derivative_of_the_path_through_the_ends(path: GaussianPath) -> None:
    """d/dt of alpha(t) x_0 + sigma(t) eps with the ends held fixed, by autograd."""
    x = torch.randn(3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = (path.t_max * torch.tensor([0.10005, 0.50005, 0.90005], dtype=torch.float64)).clone()
    denoiser = Denoiser(wavy, path, "v")
    x0, eps, _ = denoiser(x, t)
    t.requires_grad_()
    for i in range(3):
        alpha, sigma = path.level(t[i])
        for pixel, (end, noise) in enumerate(zip(x0[i].flatten(), eps[i].flatten(), strict=True)):
            (expected,) = torch.autograd.grad(alpha * end + sigma * noise, t, retain_graph=True)
            result = denoiser.velocity(x, t.detach())[i].flatten()[pixel]
            assert float(result) == pytest.approx(float(expected[i]), rel=1e-9, abs=1e-9)


@predictions
def test_each_sample_has_its_own_time(prediction: PredictionType) -> None:
    """Times [B] give what every sample gets alone at its time; a network sees times [B]."""
    path = PATHS["vp"]
    x = torch.randn(3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    labels = torch.tensor([2, 0, 1])
    denoiser = Denoiser(wavy, path, prediction, labels=labels)
    together = denoiser(x, t)
    for i in range(3):
        alone = denoiser(x[i : i + 1], float(t[i]), which=torch.tensor([i]))
        torch.testing.assert_close(alone.x0, together.x0[i : i + 1], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(alone.eps, together.eps[i : i + 1], rtol=1e-12, atol=1e-12)


def test_a_learned_variance_is_the_second_half_of_the_channels() -> None:
    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        return torch.cat([x, 0.5 * torch.ones_like(x)], dim=1)

    x = torch.ones(2, 3, 2, 2)
    x0, _, variance = Denoiser(network, PATHS["cosine"], "x0")(x, 0.5)
    assert torch.equal(x0, x)
    assert variance is not None and torch.equal(variance, torch.full_like(x, 0.5))


@pytest.mark.parametrize(("guidance", "each"), [(0.0, 1), (1.0, 1), (0.5, 2), (3.0, 2)])
def test_guidance_combines_with_and_without_the_label(guidance: float, each: int) -> None:
    """out = without + w (with - without); at 0 and 1 only one of them is evaluated."""
    x = torch.randn(3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels, null = torch.tensor([0, 1, 2]), 7
    inputs: list[Tensor] = []

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        inputs.append(labels)
        return wavy(x, t, labels)

    denoiser = Denoiser(network, PATHS["vp"], "x0", clip=False,
                        labels=labels, guidance=guidance, null=null)  # fmt: skip
    result = denoiser(x, 0.5).x0
    assert denoiser.evaluations == 3 * each == sum(map(len, inputs))
    t = torch.full((3,), 0.5, dtype=torch.float64)
    given_label, without = wavy(x, t, labels), wavy(x, t, torch.full_like(labels, null))
    expected = without + guidance * (given_label - without)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


def test_guidance_does_not_magnify_what_lies_beyond_the_range() -> None:
    """Both predictions are black. Guided without clipping them first: -1.5 + 4 (.3) = -.3, grey."""

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        return torch.where(labels == 7, -1.5, -1.2)[:, None, None, None].expand_as(x).to(x)

    denoiser = Denoiser(network, PATHS["vp"], "x0", labels=torch.zeros(3, dtype=torch.int64),
                        guidance=4.0, null=7)  # fmt: skip
    x = torch.zeros(3, 1, 2, 2, dtype=torch.float64)
    prediction = denoiser(x, 0.5)
    assert torch.equal(prediction.x0, torch.full_like(x, -1.0))
    alpha, sigma = denoiser.level(0.5)
    torch.testing.assert_close(prediction.eps, torch.full_like(x, alpha / sigma))


def test_a_network_that_knows_no_classes_is_told_none_and_counted_once() -> None:
    inputs: list[Tensor | None] = []

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        inputs.append(labels)
        assert t.shape == (3,)
        return x

    denoiser = Denoiser(network, PATHS["flow"], "velocity", guidance=2.0)
    for _ in range(2):
        denoiser(torch.zeros(3, 1, 1, 1), 0.5)
    assert inputs == [None, None] and denoiser.evaluations == 6


@torch.no_grad()
@pytest.mark.parametrize(("size", "padded"), [(1, 8), (7, 8), (8, 8), (9, 16)])
def test_a_network_in_bfloat16_is_shown_whole_eights(size: int, padded: int) -> None:
    """Some images are repeated to fill them, and neither told of nor counted."""
    layer, inputs = torch.nn.Linear(1, 1), []

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        answer: Tensor = layer(x.float())
        inputs.append((len(x), len(t), len(labels), answer.dtype))
        return answer.float() + (labels + t)[:, None, None, None]

    x = torch.randn(size, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    t, labels = torch.linspace(0.1, 0.9, size).double(), torch.arange(size)
    denoiser = Denoiser(network, PATHS["flow"], "x0", clip=False, labels=labels, bf16=True)
    result = denoiser(x, t).x0
    assert inputs == [(padded, padded, padded, torch.bfloat16)]
    assert denoiser.evaluations == size
    expected = layer(x) + (labels + t)[:, None, None, None]
    # Five numbers below 4 are rounded to 8 bits: x, weight, bias, product and sum.
    torch.testing.assert_close(result, expected.float(), rtol=0, atol=5 * 4 * 2**-9)
