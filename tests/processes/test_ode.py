"""Dormand and Prince's method: step by step as SciPy's, of order 5, each sample by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from genlab.processes.ode import A, C, E, Slope, State, solve


def prey_and_predator(x: Tensor, t: Tensor, which: Tensor) -> Tensor:
    """Lotka and Volterra's equations, under a season."""
    prey, predator = x.unbind(dim=1)
    return torch.stack([prey * (1.5 - predator) + 0.1 * (5 * t).sin(), predator * (prey - 3)], 1)


STARTS = torch.tensor([[1.0, 1.0], [10.0, 5.0], [0.1, 2.0], [3.0, 1.5]], dtype=torch.float64)


def times_of(states: list[State], sample: int, start: float) -> list[float]:
    """The times that a sample came by, in order."""
    return list(dict.fromkeys([start, *(float(state.t[sample]) for state in states)]))


@pytest.mark.parametrize(("start", "end"), [(0.0, 4.0), (4.0, 1.0)], ids=["onward", "backward"])
@pytest.mark.parametrize("rtol", [1e-3, 1e-6])
def test_every_sample_takes_the_steps_of_scipys_rk45(rtol: float, start: float, end: float) -> None:
    """The same method and step control, one initial value at a time: the same times and states."""
    counted: list[int] = []

    def f(x: Tensor, t: Tensor, which: Tensor) -> Tensor:
        counted.extend(which.tolist())
        return prey_and_predator(x, t, which)

    states = list(solve(f, STARTS, start, end, rtol=rtol, atol=1e-8))
    for i, x in enumerate(STARTS):

        def one(t: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
            at = torch.tensor([t], dtype=torch.float64)
            result: NDArray[np.float64] = prey_and_predator(torch.tensor(y[None]), at, at)[
                0
            ].numpy()
            return result

        expected = solve_ivp(one, (start, end), x.numpy(), method="RK45", rtol=rtol, atol=1e-8)
        assert counted.count(i) == expected.nfev
        # Rounding of 1e-16 moves the next step, and steps add up; the tolerance is far above it.
        assert times_of(states, i, start) == pytest.approx(expected.t.tolist(), abs=1e-7)
        assert states[-1].x[i].tolist() == pytest.approx(expected.y[:, -1].tolist(), rel=1e-8)


def test_the_tableau_is_one_of_order_5() -> None:
    """Conditions of order: rows sum to c, sum b c^k = 1 / (k + 1) up to k = 4; e sums to 0."""
    for c, row in zip(C, A, strict=True):
        assert math.fsum(row) == pytest.approx(c, abs=1e-14)
    weights, nodes = [*A[-1], 0.0], [0.0, *C]
    for k in range(5):
        moment = math.fsum(b * c**k for b, c in zip(weights, nodes, strict=True))
        assert moment == pytest.approx(1 / (k + 1), abs=1e-14)
    for k in range(4):  # the embedded method is of order 4
        assert math.fsum(e * c**k for e, c in zip(E, nodes, strict=True)) == pytest.approx(
            0, abs=1e-14
        )


CLOSED_FORMS: dict[str, tuple[Slope, float, float]] = {
    "growth": (lambda x, t, which: x, 1.0, math.e),
    "a sine": (lambda x, t, which: 2 * t.cos()[:, None] * torch.ones_like(x), 0.0, 2 * math.sin(1)),
    "logistic": (lambda x, t, which: x * (1 - x), 0.25, 1 / (1 + 3 / math.e)),
    "1 / t": (lambda x, t, which: x / (t[:, None] + 0.01), 0.01, 1.01),
}


@pytest.mark.parametrize("case", CLOSED_FORMS)
def test_errors_follow_the_tolerance_to_the_closed_form(case: str) -> None:
    """From 0 to 1; the error of one step is held, so that of all is as many times larger."""
    f, start, expected = CLOSED_FORMS[case]
    x = torch.full((1, 3), start, dtype=torch.float64)
    for tolerance in (1e-3, 1e-6, 1e-9):
        *_, last = solve(f, x, 0.0, 1.0, rtol=tolerance, atol=tolerance)
        assert last.t.tolist() == [1.0]
        assert float((last.x - expected).abs().max()) < 20 * tolerance
        torch.testing.assert_close(last.slope, f(last.x, last.t, torch.tensor([0])))


def test_the_method_is_of_order_5() -> None:
    """Error per step falls as h^6, so that of a way as (evaluations)^-5: slope of the logarithms.

    The controller aims at an error of tol for each step with h^5: over two decades of tolerance
    evaluations grow by 10^(2/5), and the error of the way falls by 10^2 or a little more.
    """
    errors, counts = [], []
    for tolerance in (1e-6, 1e-8, 1e-10):
        calls = 0

        def f(x: Tensor, t: Tensor, which: Tensor) -> Tensor:
            nonlocal calls
            calls += 1
            return torch.stack([x[:, 1], -x[:, 0]], dim=1)

        x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        *_, last = solve(f, x, 0.0, 20.0, rtol=tolerance, atol=tolerance)
        expected = torch.tensor([[math.cos(20), -math.sin(20)]], dtype=torch.float64)
        errors.append(float((last.x - expected).norm()))
        counts.append(calls)
    slope = math.log(errors[2] / errors[0]) / math.log(counts[2] / counts[0])
    assert slope == pytest.approx(-5, abs=0.5)


def test_a_sample_does_not_depend_on_its_batch() -> None:
    """Alone or among others, in any order, to the last bit; and at most as often evaluated."""

    def run(x: Tensor) -> tuple[Tensor, int]:
        evaluations = 0

        def f(x: Tensor, t: Tensor, which: Tensor) -> Tensor:
            nonlocal evaluations
            evaluations += len(which)
            return prey_and_predator(x, t, which)

        *_, last = solve(f, x, 0.0, 4.0, rtol=1e-4, atol=1e-4)
        return last.x, evaluations

    together, evaluations = run(STARTS)
    alone = [run(x[None]) for x in STARTS]
    assert torch.equal(together, torch.cat([x for x, _ in alone]))
    assert evaluations == sum(count for _, count in alone)
    assert len({count for _, count in alone}) > 1  # they do need different numbers of steps
    assert torch.equal(run(STARTS.flip(0))[0], together.flip(0))


def test_which_tells_the_samples_that_are_evaluated() -> None:
    """Each has its own equation, dx/dt = rate x."""
    rates = torch.tensor([0.1, 5.0, -3.0], dtype=torch.float64)
    *_, last = solve(
        lambda x, t, which: rates[which, None] * x,
        torch.ones(3, 1, dtype=torch.float64), 0.0, 1.0, rtol=1e-8, atol=1e-8,
    )  # fmt: skip
    torch.testing.assert_close(last.x[:, 0], rates.exp(), rtol=1e-6, atol=0)


def test_an_ode_that_cannot_be_followed_is_refused() -> None:
    """A pole on the way (x = 1 / (1 - t)), and slopes that are no numbers: no endless loop."""
    x = torch.ones(2, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"reached time 0\.99.* after 200 tries.*rtol 0\.001"):
        list(solve(lambda x, t, _: x**2, x, 0.0, 2.0, rtol=1e-3, atol=1e-3, max_steps=200))
    with pytest.raises(ValueError, match=r"reached time 0 on .* after 50 tries"):
        list(solve(lambda x, t, _: x * torch.nan, x, 0.0, 2.0, rtol=1e-3, atol=1e-3, max_steps=50))
