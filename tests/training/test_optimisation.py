"""The learning rate's course and the moving average, against PyTorch, loops and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler

from genlab.config.study import TrainingConfig
from genlab.training.optimisation import ema_decay, learning_rate, update_ema

DECAYS = ("none", "linear", "cosine")


def config(steps: int, **settings: object) -> TrainingConfig:
    return TrainingConfig.model_validate({"images": steps, "batch_size": 1, **settings})


@pytest.mark.parametrize("decay", DECAYS)
@given(steps=st.integers(1, 300), warmup=st.sampled_from([0.0, 0.05, 0.5, 0.99]))
def test_learning_rate_rises_to_its_peak_and_falls_to_zero(
    decay: str, steps: int, warmup: float
) -> None:
    training = config(steps, warmup=warmup, decay=decay, learning_rate=2e-3)
    rates = [learning_rate(training, step) for step in range(steps)]
    rising = math.floor(warmup * steps)
    assert all(0 <= rate <= 2e-3 * (1 + 1e-12) for rate in rates)  # rounding of float64
    before, after = rates[:rising], rates[rising:]
    assert before == sorted(before) and after == sorted(after, reverse=True)
    # The first step already learns: its rate is 1 / rising of the peak, not 0.
    assert all(r == pytest.approx(2e-3 * (i + 1) / (warmup * steps)) for i, r in enumerate(before))
    assert rates[-1] == pytest.approx(2e-3 if decay == "none" else 0, abs=1e-15)


@pytest.mark.parametrize("decay", DECAYS)
def test_learning_rate_peaks_where_the_warm_up_ends(decay: str) -> None:
    training = config(100, warmup=0.2, decay=decay, learning_rate=1.0)
    assert learning_rate(training, 0) == pytest.approx(1 / 20)
    assert learning_rate(training, 19) == pytest.approx(1)
    halfway = {"none": 1, "linear": 0.5, "cosine": 0.5}[decay]
    assert learning_rate(training, 59) == pytest.approx(halfway)


@pytest.mark.parametrize(
    ("decay", "peer"),
    [
        ("cosine", lambda optimizer: CosineAnnealingLR(optimizer, T_max=50)),
        ("linear", lambda optimizer: LinearLR(optimizer, 1, 0, total_iters=50)),
    ],
)
def test_learning_rate_falls_as_pytorchs_schedules_do(
    decay: str, peer: Callable[[torch.optim.Optimizer], LRScheduler]
) -> None:
    """PyTorch's rate after k + 1 steps is that of step k, for the whole of 50 steps."""
    training = config(50, warmup=0, decay=decay, learning_rate=0.1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = peer(optimizer)
    for step in range(50):
        optimizer.step()
        scheduler.step()
        # PyTorch multiplies its way from rate to rate: 50 roundings of float64
        assert learning_rate(training, step) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-12)


def test_ema_is_the_recursion_written_by_hand() -> None:
    """Five updates of two tensors of floats, number by number; integer buffers are copied."""
    random = torch.Generator().manual_seed(0)

    def weights(step: int) -> dict[str, torch.Tensor]:
        return {
            "weight": torch.randn(3, 2, generator=random),
            "bias": torch.randn(2, generator=random),
            "steps_seen": torch.tensor(step),
            "initialised": torch.tensor(step > 0),
        }

    ema = weights(0)
    expected = {name: ema[name].flatten().tolist() for name in ("weight", "bias")}
    for step in range(1, 6):
        new = weights(step)
        decay = ema_decay(0.99, step)
        update_ema(ema, new, decay)
        for name, numbers in expected.items():
            for i, value in enumerate(new[name].flatten().tolist()):
                numbers[i] = decay * numbers[i] + (1 - decay) * value
            # float32 rounding of numbers of size 1, five times
            assert ema[name].flatten().tolist() == pytest.approx(numbers, abs=1e-6)
        assert int(ema["steps_seen"]) == step and bool(ema["initialised"])
        assert ema["steps_seen"].dtype == torch.int64 and ema["initialised"].dtype == torch.bool


@pytest.mark.parametrize("updates", [1, 10, 100])
def test_warm_up_drops_the_initial_weights_from_the_average(updates: int) -> None:
    """Their share after n updates is prod (1 + k) / (10 + k) = n! 9! / (n + 9)! = 1 / C(n + 9, 9).

    Without the warm-up it would be .9999^n, .99 after 100 updates.
    """
    ema = {"weight": torch.ones(1, dtype=torch.float64)}
    for step in range(updates):
        update_ema(ema, {"weight": torch.zeros(1, dtype=torch.float64)}, ema_decay(0.9999, step))
    assert float(ema["weight"]) == pytest.approx(1 / math.comb(updates + 9, 9), rel=1e-9)


@pytest.mark.parametrize(("decay", "half_life"), [(0.9999, 6931), (0.999, 693), (0.995, 138)])
def test_half_lives(decay: float, half_life: int) -> None:
    """Past its warm-up, the average forgets half in so many updates: half a step's decay apart."""
    settled = 10**7  # (1 + n) / (10 + n) is above every decay here
    ema = {"weight": torch.ones(1, dtype=torch.float64)}
    for step in range(half_life):
        update_ema(
            ema, {"weight": torch.zeros(1, dtype=torch.float64)}, ema_decay(decay, settled + step)
        )
    assert float(ema["weight"]) == pytest.approx(0.5, rel=1 - decay)
