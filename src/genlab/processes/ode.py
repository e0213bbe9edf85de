"""Dormand and Prince's method of order 5(4), with an adaptive step of its own for every sample.

    k_i = f(x + h sum_j a_ij k_j, t + c_i h),    x' = x + h sum_j a_7j k_j,    h sum_j e_j k_j

are the slopes of a step, its result (order 5), and its estimated error, the difference to the
embedded method of order 4 (Dormand & Prince 1980; Hairer, Norsett & Wanner 1993, "Solving Ordinary
Differential Equations I", table II.5.2). k_7 is the slope at x' and begins the next step, so a step
costs six evaluations. A step is accepted where the norm of

    error / (atol + rtol max(|x|, |x'|))

is below 1, and repeated with a shorter step otherwise; the next step size follows from the error
estimate (the same, section II.4).

Each sample has its own time, step and error. So it does not depend on the other samples of its
batch, and samples that have reached the end are not evaluated any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

C = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
A = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
E = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0
MAX_STEPS = 1000

Slope = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x [b, N], t float64 [b], indices of these samples int64 [b]) -> dx/dt [b, N]."""
Norm = Callable[[Tensor], Tensor]
"""[b, N] -> [b]."""


class State(NamedTuple):
    """State of every sample.

    Attributes:
        x: [B, N].
        t: float64 [B].
        slope: dx/dt at x and t, [B, N].
    """

    x: Tensor
    t: Tensor
    slope: Tensor


def rms(x: Tensor) -> Tensor:
    """The root mean square of every sample, [b, N] -> [b]."""
    return x.square().mean(dim=1).sqrt()


@cache
def _on_device(coefficients: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(coefficients, dtype=dtype, device=device)


def _combination(coefficients: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    weights = _on_device(coefficients, slopes[0].dtype, slopes[0].device)
    return torch.einsum("j,jbn->bn", weights, torch.stack(slopes))


def _first_step(
    f: Slope, state: State, span: float, rtol: float, atol: float, norm: Norm
) -> Tensor:
    """Step sizes [B] for which a step of Euler's method, and its second order, would be small.

    Hairer, Norsett & Wanner 1993, section II.4, "starting step size"; costs an evaluation.
    """
    scale = atol + rtol * state.x.abs()
    size, speed = norm(state.x / scale), norm(state.slope / scale)
    small = (size < 1e-5) | (speed < 1e-5)
    probe = torch.where(small, 1e-6, 0.01 * size / speed).clamp(max=abs(span))
    h = torch.copysign(probe, torch.tensor(span))
    everyone = torch.arange(len(h), device=h.device)
    next_slope = f(state.x + h[:, None] * state.slope, state.t + h, everyone)
    curvature = norm((next_slope - state.slope) / scale) / probe
    most = torch.maximum(speed, curvature)
    length = torch.where(most <= 1e-15, (1e-3 * probe).clamp(min=1e-6), (0.01 / most) ** (1 / 5))
    return torch.minimum(100 * probe, length).clamp(max=abs(span))


def _step(f: Slope, state: State, h: Tensor, which: Tensor) -> tuple[State, Tensor]:
    """The states after steps h [b], and their estimated errors [b, N]."""
    slopes, x, t = [state.slope], state.x, state.t
    for c, row in zip(C, A, strict=True):
        x, t = state.x + h[:, None] * _combination(row, slopes), state.t + c * h
        slopes.append(f(x, t, which))
    return State(x, t, slopes[-1]), h[:, None] * _combination(E, slopes)


def solve(
    f: Slope,
    x: Tensor,
    start: float,
    end: float,
    *,
    rtol: float,
    atol: float,
    norm: Norm = rms,
    max_steps: int = MAX_STEPS,
) -> Iterator[State]:
    """Follow dx/dt = f from x [B, N] at time `start` to time `end`, which may lie before it.

    Yields the states after every round, in which each sample that has not reached `end` tries one
    step.

    Raises:
        ValueError: a sample has not reached `end` after `max_steps` tries.
    """
    everyone = torch.arange(len(x), device=x.device)
    t = torch.full((len(x),), start, dtype=torch.float64, device=x.device)
    state = State(x, t, f(x, t, everyone))
    length = _first_step(f, state, end - start, rtol, atol, norm)
    retries = torch.zeros_like(everyone, dtype=torch.bool)  # samples whose last try failed
    which = everyone
    for _ in range(max_steps):
        before = State(*(part[which] for part in state))
        remaining = (end - before.t).abs()
        last = length[which] >= remaining
        h = torch.where(last, remaining, length[which])
        after, error = _step(f, before, torch.copysign(h, end - before.t), which)
        after = after._replace(t=torch.where(last, end, after.t))
        scale = atol + rtol * torch.maximum(before.x.abs(), after.x.abs())
        # A step to infinity or NaN has failed with an infinite error.
        size = norm(error / scale).nan_to_num(nan=torch.inf)
        accepted = size < 1
        factor = (SAFETY * size ** (-1 / 5)).clamp(SHRINK, GROW)
        factor = torch.where(retries[which] | ~accepted, factor.clamp(max=1), factor)
        length, retries = length.clone(), retries.clone()
        length[which], retries[which] = h * factor, ~accepted
        state = State(*(part.clone() for part in state))
        for part, new, old in zip(state, after, before, strict=True):
            part[which] = torch.where(accepted if new.ndim == 1 else accepted[:, None], new, old)
        yield state
        which = (state.t != end).nonzero()[:, 0]  # the one time a round that a GPU is waited for
        if not len(which):
            return
    slowest = int(which[0])
    raise ValueError(
        f"the ODE solver reached time {float(state.t[slowest]):g} on the way from {start:g} to "
        f"{end:g} after {max_steps} tries: the ODE is too steep for rtol {rtol:g} and atol "
        f"{atol:g}; raise them"
    )
