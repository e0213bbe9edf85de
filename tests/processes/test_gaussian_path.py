"""The Gaussian path and the denoiser: conversions, clipping, time scale, counting."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from genlab.processes.gaussian import Denoiser, DiscretePath, Prediction, ends, target
from genlab.processes.schedules import SCHEDULES

predictions = pytest.mark.parametrize("prediction", get_args(Prediction))
schedules = pytest.mark.parametrize("schedule", SCHEDULES)


def make_path(schedule: str, timesteps: int = 1000) -> DiscretePath:
    return DiscretePath(SCHEDULES[schedule](timesteps))


@schedules
@predictions
def test_predictions_convert_to_both_ends_of_the_path_and_back(
    schedule: str, prediction: Prediction
) -> None:
    """At all 1000 times at once, target and ends are inverse: (x0, eps) -> target -> (x0, eps)."""
    alpha_bar = make_path(schedule).alpha_bar[:, None, None, None]
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    random = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 1000, 1, 2, 2, dtype=torch.float64, generator=random)
    x = alpha * x0 + sigma * eps
    output = target(prediction, x0, eps, alpha, sigma)
    x0_again, eps_again = ends(prediction, output, x, alpha, sigma)
    # float64 keeps 1e-16; eps-prediction divides by alpha, 5e-5 at the end of the cosine schedule.
    torch.testing.assert_close(x0_again, x0, rtol=0, atol=1e-10)
    torch.testing.assert_close(eps_again, eps, rtol=0, atol=1e-10)


@schedules
def test_path_keeps_float32_levels_of_a_float64_schedule(schedule: str) -> None:
    path = make_path(schedule)
    assert path.alpha.dtype == path.sigma.dtype == torch.float32
    assert torch.equal(path.alpha, path.alpha_bar.sqrt().float())
    assert torch.equal(path.sigma, (1 - path.alpha_bar).sqrt().float())
    assert not path.state_dict()  # rebuilt from the configuration, never loaded


def test_noising_is_alpha_x0_plus_sigma_eps_at_each_samples_own_time() -> None:
    path = make_path("linear")
    x0, eps, t = torch.rand(3, 1, 2, 2), torch.randn(3, 1, 2, 2), torch.tensor([0, 499, 999])
    x, alpha, sigma = path.noise(x0, eps, t)
    for i, time in enumerate(t.tolist()):
        a = float(path.alpha_bar[time])
        # float32 rounding of numbers of size 1
        torch.testing.assert_close(
            x[i], a**0.5 * x0[i] + (1 - a) ** 0.5 * eps[i], rtol=0, atol=1e-6
        )
    assert alpha.shape == sigma.shape == (3, 1, 1, 1)


def wavy(x: Tensor, t: Tensor) -> Tensor:
    """An arbitrary deterministic network, of outputs large enough to be clipped."""
    return 2 * torch.sin(3 * x + t[:, None, None, None] / 300)


@schedules
@predictions
def test_clipping_bounds_x0_and_derives_eps_anew(schedule: str, prediction: Prediction) -> None:
    """Clipped or not, the two ends still make up x_t; clipped, x_0 is the clamped one."""
    alpha_bar = make_path(schedule).alpha_bar
    x = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    free = Denoiser(wavy, alpha_bar, prediction, clip=False)
    clipped = Denoiser(wavy, alpha_bar, prediction)
    for t in range(0, 1000, 9):
        alpha, sigma = free.level(t)
        x0, eps = clipped(x, t)
        assert float(x0.abs().max()) <= 1
        assert torch.equal(x0, free(x, t)[0].clamp(-1, 1))
        # float32 rounding of numbers of size 5: 5 * 2**-23 for each of a few operations
        torch.testing.assert_close(alpha * x0 + sigma * eps, x, rtol=0, atol=1e-5)
        x0, eps = free(x, t)
        torch.testing.assert_close(alpha * x0 + sigma * eps, x, rtol=0, atol=1e-5)


def test_the_clean_image_is_the_level_before_the_first() -> None:
    denoiser = Denoiser(wavy, make_path("linear").alpha_bar, "eps")
    assert denoiser.level(-1) == (1.0, 0.0)
    assert denoiser.level(0) == pytest.approx(((1 - 1e-4) ** 0.5, 1e-2), rel=1e-9)


@given(timesteps=st.integers(2, 3000), data=st.data())
def test_the_network_sees_times_on_0_to_1000_whatever_t(
    timesteps: int, data: st.DataObject
) -> None:
    """Index t of T becomes 1000 t / T, once for each sample; every call is counted once."""
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor) -> Tensor:
        seen.append(t)
        return torch.zeros_like(x)

    denoiser = Denoiser(network, make_path("cosine", timesteps).alpha_bar, "v")
    t = data.draw(st.integers(0, timesteps - 1))
    assert len(denoiser) == timesteps and denoiser.evaluations == 0
    for index in (t, 0, timesteps - 1):
        denoiser(torch.zeros(3, 1, 1, 1), index)
    assert denoiser.evaluations == 3 == len(seen)
    for times, index in zip(seen, (t, 0, timesteps - 1), strict=True):
        assert times.shape == (3,) and 0 <= float(times.min()) <= float(times.max()) < 1000
        assert times.tolist() == pytest.approx([1000 * index / timesteps] * 3, rel=1e-6)  # float32
