"""Lesson 6: one step of the reverse SDE."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def reverse_sde_step(x: Tensor, score: Tensor, beta: float, dt: float, z: Tensor) -> Tensor:
    """One step of Euler-Maruyama on the reverse SDE, from time t to t - dt, where dt > 0.

    The forward SDE is dx = -beta x / 2 dt + sqrt(beta) dw. score is grad log p_t(x), and
    z ~ N(0, I) is the new noise; both have the shape of x, and so has the result.
    """
    drift = -beta * x / 2 - beta * score
    return x - drift * dt + math.sqrt(beta * dt) * z


class ReverseSDE(Exercise):
    """Time turned around."""

    number = "6.3"
    title = "A step of the reverse SDE"
    solution = staticmethod(reverse_sde_step)
    mistakes = (
        Mistake(
            lambda x, s, beta, dt, z: reverse_sde_step(x, s / 2, beta, dt, z),
            "the score has the weight of the probability-flow ODE. The new noise of this step "
            "has to be paid for.",
        ),
        Mistake(
            lambda x, s, beta, dt, z: reverse_sde_step(x, s, beta, dt, z * dt**0.5),
            "the noise is too small. The variance of a Brownian motion grows in proportion to "
            "time.",
        ),
        Mistake(
            lambda x, s, beta, dt, z: reverse_sde_step(x, -s, beta, dt, z),
            "the score has the wrong sign: this step moves away from the data.",
        ),
        Mistake(
            lambda x, s, beta, dt, z: 2 * x - reverse_sde_step(x, s, beta, dt, -z),
            "the drift has the wrong sign. The step goes from t to t - dt.",
        ),
        Mistake(
            lambda x, s, beta, dt, z: x - beta * dt * x / 2 + (beta * dt) ** 0.5 * z + 0 * s,
            "this is a step of the forward SDE.",
        ),
        Mistake(
            lambda x, s, beta, dt, z: reverse_sde_step(x, s, beta, dt, z * beta**0.5),
            "the noise has the factor beta, where the SDE has its square root.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        settings = ((0.1, 0.1), (5.0, 0.02), (20.0, 0.01))
        return [(torch.randn(5), torch.randn(5), beta, dt, torch.randn(5)) for beta, dt in settings]

    def oracle(self, x: Tensor, score: Tensor, beta: float, dt: float, z: Tensor) -> Tensor:
        """From the ODE's step and Langevin dynamics, whose sum is the reverse SDE.

        The step of the probability-flow ODE keeps p_t; a Langevin step of the size beta dt / 2
        keeps it too, and has the noise sqrt(beta dt).
        """
        ode = -dt * (-beta * x / 2 - beta * score / 2)
        size = beta * dt / 2
        return x + ode + size * score + math.sqrt(2 * size) * z
