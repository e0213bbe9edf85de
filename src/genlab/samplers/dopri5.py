"""Dormand and Prince's adaptive method of order 5 on the probability-flow ODE.

Song et al. 2021 (arXiv:2011.13456, section 4.3 and appendix D.4) and Lipman et al. 2023
(arXiv:2210.02747, section 6.1) sample with it: in the path's own time, from pure noise to the
path's least ratio sigma / alpha, where one last denoising jumps to the clean image. That costs no
evaluation: x_0 there follows from x_t and dx/dt. The solver is `genlab.processes.ode`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genlab.processes.gaussian import solve_for_ends, target_row
from genlab.processes.ode import State, solve
from genlab.processes.paths import GaussianPath, NoiseLevel
from genlab.samplers import Denoiser, SampleNoise, Step, start


def clean_end(path: GaussianPath, state: State) -> Tensor:
    """x_0 [B, N] of the path through x_t with the velocity dx/dt."""
    level, rates = (
        NoiseLevel(*(part[:, None] for part in pair))
        for pair in (path.level(state.t), path.rates(state.t))
    )
    return solve_for_ends(state.slope, state.x, level, target_row("velocity", level, rates))[0]


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    rtol: float = 1e-3,
    atol: float = 1e-3,
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape`; each takes its own number of evaluations.

    Yields after every try of a step; samples that have reached the end no longer change.

    Raises:
        ValueError: the tolerances need too many steps.
    """
    path, begin = denoiser.path, denoiser.path.t_max
    end = float(path.time_of(torch.tensor(path.ratios[0], dtype=torch.float64)))

    def slope(x: Tensor, t: Tensor, which: Tensor) -> Tensor:
        return denoiser.velocity(x.reshape(-1, *shape), t, which).flatten(1)

    x = start(denoiser, noise, shape, begin).flatten(1)
    for state in solve(slope, x, begin, end, rtol=rtol, atol=atol):
        x0 = clean_end(path, state).reshape(-1, *shape)
        yield Step(state.x.reshape(-1, *shape), x0)
    yield Step(x0, x0)
