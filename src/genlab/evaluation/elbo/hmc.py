"""Hamiltonian Monte Carlo (Neal 2011, arXiv:1206.1901) on the path from q(z|x) to p(x, z).

In coordinates u with z = mu + std u, where q is N(0, I), the density at inverse temperature beta is

    f_beta(u) = N(u; 0, I) w(u)^beta,     w = p(x, z) / q(z|x)

so value and slope of log w at a point serve every beta: a transition of n leapfrog steps costs n
gradients, the first of them being kept from the transition before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.evaluation.elbo.bounds import normal


class Point(NamedTuple):
    """Where chains are: u [C, B, L], log w there [C, B], and its gradient [C, B, L]."""

    u: Tensor
    log_weight: Tensor
    slope: Tensor

    def log_density(self, beta: float) -> Tensor:
        """log f_beta [C, B], up to a constant that no transition needs."""
        return beta * self.log_weight - 0.5 * self.u.square().sum(dim=-1)

    def force(self, beta: float) -> Tensor:
        """The gradient of log f_beta [C, B, L]."""
        return beta * self.slope - self.u


Target = Callable[[Tensor], Point]


def target(log_weight: Callable[[Tensor], Tensor]) -> Target:
    """u [C, B, L] -> the `Point` there, by one forward and one backward pass of `log_weight`."""

    def at(u: Tensor) -> Point:
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            value = log_weight(u)
            (slope,) = torch.autograd.grad(value.sum(), u)
        return Point(u.detach(), value.detach(), slope)

    return at


def leapfrog(
    at: Target, point: Point, momentum: Tensor, beta: float, step: Tensor, steps: int
) -> tuple[Point, Tensor]:
    """`steps` leapfrog steps of size `step` [C or 1, B, 1] (Neal 2011, equations 2.28 to 2.30).

    Reversible, and volume is kept: from the end, with the momentum turned round, they lead back.
    """
    momentum = momentum + 0.5 * step * point.force(beta)
    for i in range(steps):
        point = at(point.u + step * momentum)
        half = 0.5 if i == steps - 1 else 1.0
        momentum = momentum + half * step * point.force(beta)
    return point, momentum


def transition(
    at: Target, point: Point, beta: float, step: Tensor, steps: int, random: torch.Generator
) -> tuple[Point, Tensor]:
    """One transition that leaves f_beta as it is; and its probability of acceptance [C, B]."""
    momentum = normal(random, point.u, *point.u.shape)
    proposal, arrived = leapfrog(at, point, momentum, beta, step, steps)
    kinetic = 0.5 * (momentum.square() - arrived.square()).sum(dim=-1)
    log_ratio = proposal.log_density(beta) - point.log_density(beta) + kinetic
    # Where a step was far too large the energy overflows; such a proposal is refused.
    acceptance = log_ratio.nan_to_num(nan=-torch.inf).clamp(max=0).exp()
    chance = torch.rand(acceptance.shape, generator=random, dtype=acceptance.dtype)
    accepted = chance.to(acceptance.device) < acceptance
    moved = (torch.where(accepted.reshape(*accepted.shape, *[1] * (new.dim() - 2)), new, old)
             for new, old in zip(proposal, point, strict=True))  # fmt: skip
    return Point(*moved), acceptance
