"""Hamiltonian Monte Carlo (Neal 2011, arXiv:1206.1901) on the path from q(z|x) to p(x, z).

In coordinates u with z = mu + std u, where q is N(0, I), the density at inverse temperature beta is

    f_beta(u) = N(u; 0, I) w(u)^beta,     w = p(x, z) / q(z|x)

so the value and the gradient of log w at a point serve every beta. A transition of n leapfrog
steps costs n gradients, because the first one is kept from the previous transition.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.evaluation.elbo.randomness import normal


class Point(NamedTuple):
    """State of the chains: u [C, B, L], log w at u [C, B], and its gradient [C, B, L]."""

    u: Tensor
    log_weight: Tensor
    gradient: Tensor

    def log_density(self, beta: float) -> Tensor:
        """log f_beta [C, B], up to a constant."""
        return beta * self.log_weight - 0.5 * self.u.square().sum(dim=-1)

    def force(self, beta: float) -> Tensor:
        """The gradient of log f_beta [C, B, L]."""
        return beta * self.gradient - self.u


Target = Callable[[Tensor], Point]
"""Evaluates log w and its gradient at u [C, B, L]."""


def make_target(log_weight: Callable[[Tensor], Tensor]) -> Target:
    """A target that takes one forward and one backward pass of `log_weight` per call."""

    def target(u: Tensor) -> Point:
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            value = log_weight(u)
            (gradient,) = torch.autograd.grad(value.sum(), u)
        return Point(u.detach(), value.detach(), gradient)

    return target


def leapfrog(
    target: Target, point: Point, momentum: Tensor, beta: float, step: Tensor, steps: int
) -> tuple[Point, Tensor]:
    """`steps` leapfrog steps of size `step` [C or 1, B, 1] (Neal 2011, equations 2.28 to 2.30).

    They preserve volume and are reversible: from the end point with the momentum negated, they
    return to the start.
    """
    momentum = momentum + 0.5 * step * point.force(beta)
    for i in range(steps):
        point = target(point.u + step * momentum)
        half = 0.5 if i == steps - 1 else 1.0
        momentum = momentum + half * step * point.force(beta)
    return point, momentum


def transition(
    target: Target, point: Point, beta: float, step: Tensor, steps: int, random: torch.Generator
) -> tuple[Point, Tensor]:
    """Make one transition that leaves f_beta invariant; return its acceptance [C, B] as well."""
    momentum = normal(random, point.u, *point.u.shape)
    proposal, final_momentum = leapfrog(target, point, momentum, beta, step, steps)
    kinetic = 0.5 * (momentum.square() - final_momentum.square()).sum(dim=-1)
    log_ratio = proposal.log_density(beta) - point.log_density(beta) + kinetic
    # The energy overflows if a step was far too large; such a proposal is rejected.
    acceptance = log_ratio.nan_to_num(nan=-torch.inf).clamp(max=0).exp()
    uniform = torch.rand(acceptance.shape, generator=random, dtype=acceptance.dtype)
    accepted = uniform.to(acceptance.device) < acceptance
    state = (torch.where(accepted.reshape(*accepted.shape, *[1] * (new.dim() - 2)), new, old)
             for new, old in zip(proposal, point, strict=True))  # fmt: skip
    return Point(*state), acceptance
