"""Dormand and Prince's method of order 5(4), with an adaptive step of its own for every sample.

    k_i = f(x + h sum_j a_ij k_j, t + c_i h),    x' = x + h sum_j a_7j k_j,    h sum_j e_j k_j

are the slopes of a step, where it leads to (order 5), and its estimated error, the difference to
the embedded method of order 4 (Dormand & Prince 1980; Hairer, Norsett & Wanner 1993, "Solving
Ordinary Differential Equations I", table II.5.2). k_7 is the slope at x', with which the next step
begins, so that a step costs six evaluations. It is taken where the error is at most

    atol + rtol max(|x|, |x'|)

in norm, and tried anew where not; the next one is as long as the error lets expect (the same,
section II.4).

Each sample has its own time, step and error. So it doesn't depend on the others of its batch, and
those that have come to the end are evaluated no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
"""(x [b, N], t float64 [b], which int64 [b]: the samples these are) -> dx/dt [b, N]."""
Norm = Callable[[Tensor], Tensor]
"""[b, N] -> [b]."""


class State(NamedTuple):
    """Where every sample stands.

    Attributes:
        x: [B, N].
        t: float64 [B].
        slope: dx/dt there, [B, N].
    """

    x: Tensor
    t: Tensor
    slope: Tensor


def rms(x: Tensor) -> Tensor:
    """The root mean square of every sample, [b, N] -> [b]."""
    return x.square().mean(dim=1).sqrt()


def _combined(coefficients: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    return torch.einsum("j,jbn->bn", slopes[0].new_tensor(coefficients), torch.stack(slopes))


def _first_step(f: Slope, at: State, span: float, rtol: float, atol: float, norm: Norm) -> Tensor:
    """Lengths [B] for which a step of Euler's method, and its second order, would be small.

    Hairer, Norsett & Wanner 1993, section II.4, "starting step size"; costs an evaluation.
    """
    scale = atol + rtol * at.x.abs()
    size, speed = norm(at.x / scale), norm(at.slope / scale)
    small = (size < 1e-5) | (speed < 1e-5)
    probe = torch.where(small, 1e-6, 0.01 * size / speed).clamp(max=abs(span))
    h = torch.copysign(probe, torch.tensor(span))
    everybody = torch.arange(len(h), device=h.device)
    ahead = f(at.x + h[:, None] * at.slope, at.t + h, everybody)
    bend = norm((ahead - at.slope) / scale) / probe
    most = torch.maximum(speed, bend)
    length = torch.where(most <= 1e-15, (1e-3 * probe).clamp(min=1e-6), (0.01 / most) ** (1 / 5))
    return torch.minimum(100 * probe, length).clamp(max=abs(span))


def _step(f: Slope, at: State, h: Tensor, which: Tensor) -> tuple[State, Tensor]:
    """The states after steps h [b], and their errors [b, N]."""
    slopes, x, t = [at.slope], at.x, at.t
    for c, row in zip(C, A, strict=True):
        x, t = at.x + h[:, None] * _combined(row, slopes), at.t + c * h
        slopes.append(f(x, t, which))
    return State(x, t, slopes[-1]), h[:, None] * _combined(E, slopes)


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

    Yields the states after every round, in which each sample that isn't there yet tries one step.

    Raises:
        ValueError: a sample isn't there after `max_steps` tries.
    """
    everybody = torch.arange(len(x), device=x.device)
    t = torch.full((len(x),), start, dtype=torch.float64, device=x.device)
    at = State(x, t, f(x, t, everybody))
    length = _first_step(f, at, end - start, rtol, atol, norm)
    again = torch.zeros_like(everybody, dtype=torch.bool)  # whose last try failed
    for _ in range(max_steps):
        which = everybody[at.t != end]
        here = State(*(part[which] for part in at))
        left = (end - here.t).abs()
        last = length[which] >= left
        h = torch.where(last, left, length[which])
        there, error = _step(f, here, torch.copysign(h, end - here.t), which)
        there = there._replace(t=torch.where(last, end, there.t))
        scale = atol + rtol * torch.maximum(here.x.abs(), there.x.abs())
        # A try that went to infinity or beyond failed by as much as can be.
        size = norm(error / scale).nan_to_num(nan=torch.inf)
        taken = size < 1
        factor = (SAFETY * size ** (-1 / 5)).clamp(SHRINK, GROW)
        factor = torch.where(again[which] | ~taken, factor.clamp(max=1), factor)
        length, again = length.clone(), again.clone()
        length[which], again[which] = h * factor, ~taken
        at = State(*(part.clone() for part in at))
        for part, new in zip(at, there, strict=True):
            part[which[taken]] = new[taken]
        yield at
        if bool((at.t == end).all()):
            return
    behind = int((at.t != end).nonzero()[0])
    raise ValueError(
        f"the ODE's solver is at time {float(at.t[behind]):g} after {max_steps} tries, on its way "
        f"from {start:g} to {end:g}: too steep for rtol {rtol:g} and atol {atol:g}; raise them"
    )
