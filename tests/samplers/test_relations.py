"""How the samplers are related to one another, and what they cost."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import scipy.integrate
import torch
from oracles import PATHS, StreamNoise, UnitNoise, ideal_denoiser, posterior_mean_of_gaussian
from torch import Tensor
from walks import EVERY, LEVELS, gaussian_flow, settings_of, states

from genlab.config.samplers import SAMPLERS, Spacing
from genlab.processes.gaussian import Denoiser
from genlab.samplers import find, times_with_signal, unipc

SHAPE = (1, 2, 2)


def wavy(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
    """An arbitrary deterministic network."""
    return torch.sin(3 * x + 4 * t[:, None, None, None])


def denoiser_on(path: str) -> Denoiser:
    return Denoiser(wavy, PATHS[path], "x0")


def assert_same_walk(path: str, one: str, other: str, **changes: Any) -> None:
    """Fed the same noise, both walk the same way, state by state, up to float64's rounding.

    Numbers of the size of sigma / alpha, 160, lose two or three of 16 digits; a network that
    answers at ten times the slope, three more over a walk.
    """
    for x, y in zip(
        states(one, denoiser_on(path), StreamNoise(0, 4), SHAPE, **changes),
        states(other, denoiser_on(path), StreamNoise(0, 4), SHAPE, **changes),
        strict=True,
    ):
        torch.testing.assert_close(x, y, rtol=0, atol=1e-8)


@pytest.mark.parametrize("spacing", ["uniform", "karras"])
@pytest.mark.parametrize("path", ["flow", "edm"])
def test_euler_is_ddim_where_levels_are_linear_in_time(path: str, spacing: Spacing) -> None:
    assert_same_walk(path, "euler", "ddim", steps=17, spacing=spacing)


@pytest.mark.parametrize("spacing", ["uniform", "karras"])
def test_heun_is_edm_s_where_time_is_the_ratio(spacing: Spacing) -> None:
    assert_same_walk("edm", "heun", "edm", steps=17, spacing=spacing)


@pytest.mark.parametrize("churn", [0.0, 4.0, 30.0])
def test_edm_is_the_paper_s_algorithm_2_line_by_line(churn: float) -> None:
    """With D(x; sigma) a network's x_0 on EDM's own path; 30 exceeds the bound sqrt(2) - 1."""
    denoiser, noise, steps = denoiser_on("edm"), StreamNoise(0, 4), 18
    s_min, s_max, s_noise = 0.05, 50.0, 1.003
    share = torch.arange(steps, dtype=torch.float64) / (steps - 1)
    sigma = (80 ** (1 / 7) + share * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    t = [*sigma.tolist(), 0.0]
    x = noise.normal(*SHAPE) * t[0]
    own = states("edm", denoiser, StreamNoise(0, 4), SHAPE, steps=steps, churn=churn)
    for i, result in enumerate(own):
        gamma = min(churn / steps, math.sqrt(2) - 1) if s_min <= t[i] <= s_max else 0.0
        t_hat = t[i] + gamma * t[i]
        eps = s_noise * noise.normal(*SHAPE) if gamma > 0 else 0.0
        x_hat = x + math.sqrt(t_hat**2 - t[i] ** 2) * eps
        d = (x_hat - denoiser(x_hat, t_hat).x0) / t_hat
        x = x_hat + (t[i + 1] - t_hat) * d
        if t[i + 1] != 0:
            d_next = (x - denoiser(x, t[i + 1]).x0) / t[i + 1]
            x = x_hat + (t[i + 1] - t_hat) * (d / 2 + d_next / 2)
        torch.testing.assert_close(result, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("path", ["linear", "vp", "ve", "edm"])
def test_ancestral_prediction_without_correction_is_ddpm(path: str) -> None:
    assert_same_walk(path, "ancestral", "ddpm", steps=17, spacing="log-snr")


def test_reverse_diffusion_of_ve_is_ancestral_with_the_larger_variance() -> None:
    """Where alpha = 1 the means agree, and G^2 is the variance of the forward step."""
    assert_same_walk("ve", "reverse-diffusion", "ddpm-large", steps=17)


@pytest.mark.parametrize("path", ["vp", "subvp", "flow"])
def test_a_predictor_alone_is_its_sampler(path: str) -> None:
    changes = {"steps": 17, "spacing": "log-snr"}
    alone = states("euler-maruyama", denoiser_on(path), StreamNoise(0, 4), SHAPE, **changes)
    changes |= {"corrections": 0}
    inside = states("corrected-sde", denoiser_on(path), StreamNoise(0, 4), SHAPE, **changes)
    assert all(torch.equal(x, y) for x, y in zip(alone, inside, strict=True))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("solver", "first"), [("dpm-solver", "ddim"), ("dpm-solver-sde", "ddpm")])
def test_dpm_solver_begins_as_the_method_of_first_order(path: str, solver: str, first: str) -> None:
    """And only begins so, from pure noise as well as from where some of the image is left."""
    for spacing in ("uniform", "log-snr"):
        x, y = (
            states(case, denoiser_on(path), StreamNoise(0, 4), SHAPE, steps=6, spacing=spacing)
            for case in (solver, first)
        )
        torch.testing.assert_close(x[0], y[0], rtol=0, atol=1e-12)
        assert float((x[2] - y[2]).abs().max()) > 1e-3


@pytest.mark.parametrize("path", ["flow", "zero-snr"])
def test_dpm_solver_s_second_step_from_pure_noise_is_of_first_order(path: str) -> None:
    """log SNR is -inf at the start, so that no line can be laid through the first two x_0."""
    x, y = (
        states(case, denoiser_on(path), StreamNoise(0, 4), SHAPE, steps=6, spacing="uniform")
        for case in ("dpm-solver", "ddim")
    )
    torch.testing.assert_close(x[1], y[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("path", PATHS)
def test_unipc_of_first_order_without_corrector_is_ddim(path: str) -> None:
    assert_same_walk(path, "unipc-1-predictor", "ddim", steps=17, spacing="log-snr")


@pytest.mark.parametrize("h", [0.02, 0.7, 5.0])
def test_unipc_s_weights_integrate_the_polynomial_through_its_nodes(h: float) -> None:
    """Against numerical quadrature of Lagrange's polynomials."""
    nodes = [h, 0.0, -0.6 * h, -1.7 * h]
    for node, weight in zip(nodes, unipc.weights(nodes, h), strict=True):
        others = [other for other in nodes if other != node]
        scale = math.prod(node - other for other in others)
        integral, _ = scipy.integrate.quad(
            lambda u, others=others: math.exp(u - h) * math.prod(u - other for other in others),
            0, h, epsabs=0, epsrel=1e-10,
        )  # fmt: skip
        # Moments of short steps are differences of nearly equal numbers: u^4 = 1.6e-7 of 1
        assert weight == pytest.approx(integral / scale, rel=1e-6)


@pytest.mark.parametrize("case", ["unipc", "unipc-2", "unipc-2-predictor", "unipc-1"])
def test_unipc_passes_times_that_share_a_level(case: str) -> None:
    """Quadratic spacing places several times below the first level of a discrete path."""
    walked = states(case, denoiser_on("linear"), StreamNoise(0, 2), SHAPE, steps=100,
                    spacing="quadratic")  # fmt: skip
    assert all(bool(x.isfinite().all()) for x in walked)


def test_unipc_of_third_order_beats_the_second_at_equal_evaluations() -> None:
    """By a factor of 95 at 24 steps, 1.1e-4 to 1.0e-2, on Gaussian data."""
    mean = torch.zeros(3, dtype=torch.float64)
    covariance = torch.diag(torch.tensor([0.3, 0.2, 0.1], dtype=torch.float64))
    denoiser = ideal_denoiser(posterior_mean_of_gaussian(mean, covariance), PATHS["flow"], "x0")
    times = denoiser.times(24, "log-snr")
    x = denoiser.path.prior_std(times[0]) * StreamNoise(0, 4).normal(3)
    exact = gaussian_flow(mean, covariance, x, denoiser.level(times[0]), denoiser.level(times[-1]))
    errors = []
    for case in ("unipc", "dpm-solver"):
        walk = states(case, denoiser, StreamNoise(0, 4), (1, 1, 3), steps=24, spacing="log-snr")
        errors.append(float((walk[-2].flatten(1) - exact).abs().max()))
    assert errors[0] < errors[1] / 10


def evaluations(case: str, steps: int) -> int:
    """What the table of `genlab.samplers` says."""
    sampler, settings = EVERY[case]
    if sampler in ("midpoint", "heun", "edm"):
        return 2 * steps - 1
    if sampler == "predictor-corrector":
        corrections: int = settings.get("corrections", 1)
        return steps + corrections * (steps - 1)
    return steps


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("case", EVERY)
def test_evaluations_are_counted_and_steps_are_as_many_as_asked(case: str, steps: int) -> None:
    """On the path where nothing of the image is left at the start; the sample is the last x_0."""
    denoiser = denoiser_on("flow")
    sampler, settings = settings_of(case, steps=steps)
    walked = list(find(sampler)(denoiser, StreamNoise(0, 3), SHAPE, **settings))
    assert len(walked) == steps
    assert denoiser.evaluations == 3 * evaluations(case, steps)
    assert torch.equal(walked[-1].x, walked[-1].x0)
    assert all(bool(step.x.isfinite().all()) for step in walked)


SPACINGS = ["uniform", "quadratic", "karras", "log-snr"]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", EVERY)
def test_no_sampler_overflows_on_any_path_at_any_spacing(
    case: str, path: str, spacing: Spacing
) -> None:
    """However long its steps are."""
    walked = states(case, denoiser_on(path), StreamNoise(0, 2), SHAPE, steps=5, spacing=spacing)
    assert all(bool(x.isfinite().all()) for x in walked)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("case", [*LEVELS, "ddim-half", "ddpm", "dpm-solver-sde", "ancestral",
                                  "edm-churned"])  # fmt: skip
def test_where_the_image_is_known_every_state_is_that_image_and_noise_of_the_level(
    case: str, path: str, spacing: Spacing
) -> None:
    """x_t ~ N(alpha c, sigma^2), exactly, of what solves the SDE or ODE of a single image c.

    The walk starts from N(0, prior_std^2) in the place of N(alpha c, sigma^2). Later states are no
    further off than that, in units of sigma: nothing that is added makes up for it or adds to it.
    """
    c, steps = 0.4, 5
    denoiser = Denoiser(lambda x, t, labels: torch.full_like(x, c), PATHS[path], "x0")
    sampler, settings = settings_of(case, steps=steps, spacing=spacing)
    noise = UnitNoise(1 + 2 * steps, 1)
    *walked, _ = find(sampler)(denoiser, noise, (1, 1, 1), **settings)
    off_mean, off_variance = 0.0, 0.0
    times = denoiser.times(steps, spacing)
    for t in {times[0], times_with_signal(denoiser, steps, spacing)[0]}:
        alpha, sigma = denoiser.level(t)
        off_mean = max(off_mean, alpha * c / sigma)
        off_variance = max(off_variance, abs((denoiser.path.prior_std(t) / sigma) ** 2 - 1))
    assert max(off_mean, off_variance) < 0.01
    for step, t in zip(walked, times[1:], strict=True):
        x = step.x.flatten()
        mean, variance = float(x[0]), float((x[1:] - x[0]).square().sum())
        alpha, sigma = denoiser.level(t)
        # 1e-9: float64, of numbers up to sigma / alpha = 160
        assert abs(mean - alpha * c) / sigma <= off_mean + 1e-9
        assert abs(variance / sigma**2 - 1) <= off_variance + 1e-9


class CountedNoise(StreamNoise):
    """Noise that knows how often it was asked for."""

    draws = 0

    def normal(self, *shape: int) -> Tensor:
        self.draws += 1
        return super().normal(*shape)


@pytest.mark.parametrize("case", [case for case, (_, settings) in EVERY.items() if not settings])
def test_deterministic_samplers_draw_noise_once(case: str) -> None:
    sampler, _ = EVERY[case]
    noise = CountedNoise(0, 2)
    list(find(sampler)(denoiser_on("vp"), noise, SHAPE, steps=4))
    assert (noise.draws == 1) == SAMPLERS[sampler].deterministic


@pytest.mark.parametrize("case", EVERY)
def test_fewer_than_one_step_is_refused(case: str) -> None:
    for path in ("linear", "flow"):
        with pytest.raises(ValueError, match=r"steps must .* 1.*, not 0"):
            states(case, denoiser_on(path), StreamNoise(0, 1), SHAPE, steps=0)


@pytest.mark.parametrize("case", EVERY)
def test_more_steps_than_levels_are_refused(case: str) -> None:
    with pytest.raises(ValueError, match=r"steps must lie in 1\.\.1000, not 1001"):
        states(case, denoiser_on("linear"), StreamNoise(0, 1), SHAPE, steps=1001, spacing="uniform")


def test_a_variance_that_was_never_learned_is_refused() -> None:
    with pytest.raises(ValueError, match="this network learned no variance"):
        states("ddpm", denoiser_on("vp"), StreamNoise(0, 1), SHAPE, steps=3, variance="learned")


@pytest.mark.parametrize("steps", [1, 50, 1000])
@pytest.mark.parametrize("path", ["flow", "zero-snr", "cosine"])
def test_what_divides_by_alpha_starts_where_some_of_the_image_is_left(
    path: str, steps: int
) -> None:
    """At most at the path's largest ratio or twice the second's; times still fall."""
    denoiser = denoiser_on(path)
    times = times_with_signal(denoiser, steps, "uniform")
    alpha, sigma = denoiser.level(times[0])
    assert len(times) == steps
    assert times[1:] == denoiser.times(steps, "uniform")[1:]
    # Two times may agree where a discrete path has no level of any signal between them.
    assert all(t >= s for t, s in pairwise(times))
    following = denoiser.level(times[1]) if steps > 1 else (1.0, 0.0)
    assert sigma / alpha <= max(160, 2 * following[1] / following[0]) * (1 + 1e-9)
