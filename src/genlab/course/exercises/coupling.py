"""Lesson 4: the log density of a flow with one affine coupling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from genlab.course.exercises import Case, Exercise, Mistake

Network = Callable[[Tensor], tuple[Tensor, Tensor]]


def flow_log_density(x: Tensor, network: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """log p(x) in nats under a flow with one affine coupling and the base density N(0, I).

    x [B, D] with an even D has the halves x_1 and x_2, each [B, D / 2]. network(x_1) returns a
    log-scale s and a shift t, both [B, D / 2]. The flow maps x to z = (x_1, x_2 exp(s) + t).
    Returns [B].
    """
    x_1, x_2 = x.chunk(2, dim=1)
    s, t = network(x_1)
    z = torch.cat([x_1, x_2 * s.exp() + t], dim=1)
    return -0.5 * (z**2 + math.log(2 * math.pi)).sum(dim=1) + s.sum(dim=1)


def log_scales(x: Tensor, network: Network) -> Tensor:
    """The log-scales s."""
    return network(x.chunk(2, dim=1)[0])[0]


class Coupling(Exercise):
    """The log-determinant of a triangular Jacobian."""

    number = "4.2"
    title = "The density of a coupling flow"
    solution = staticmethod(flow_log_density)
    mistakes = (
        Mistake(
            lambda x, net: flow_log_density(x, net) - 2 * log_scales(x, net).sum(dim=1),
            "the log-determinant has the wrong sign. Where the map from x to z stretches space, is "
            "p(x) larger or smaller than the density of z?",
        ),
        Mistake(
            lambda x, net: flow_log_density(x, net) - log_scales(x, net).sum(dim=1),
            "this is the density of z, not of x. How does the map change volumes?",
        ),
        Mistake(
            lambda x, net: (
                flow_log_density(x, net)
                - log_scales(x, net).sum(dim=1)
                + log_scales(x, net).mean(dim=1)
            ),
            "you average the log-scales. The determinant of a triangular matrix is a product.",
        ),
        Mistake(
            lambda x, net: (
                flow_log_density(x, net)
                - log_scales(x, net).sum(dim=1)
                + log_scales(x, net).exp().sum(dim=1)
            ),
            "you add the scales themselves. Which function of the determinant is needed?",
        ),
        Mistake(
            lambda x, net: (
                flow_log_density(x, net)
                + 0.5 * (x.chunk(2, dim=1)[0] ** 2 + math.log(2 * math.pi)).sum(dim=1)
            ),
            "the half that the coupling leaves alone is a part of z too.",
        ),
        Mistake(
            lambda x, net: flow_log_density(x, net) + x.shape[1] / 2 * math.log(2 * math.pi),
            "every value is off by a constant. Does your base density integrate to 1?",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)

        def network(half: int) -> Network:
            weight, bias = torch.randn(half, 2 * half), torch.randn(2 * half)

            def scale_and_shift(x: Tensor) -> tuple[Tensor, Tensor]:
                s, t = (x @ weight.to(x.dtype) + bias.to(x.dtype)).tanh().chunk(2, dim=1)
                return s + 0.3, t

            return scale_and_shift

        return [(torch.randn(batch, 2 * half), network(half)) for batch, half in ((3, 1), (4, 3))]

    def oracle(self, x: Tensor, network: Network) -> Tensor:
        """By brute force: the determinant of the Jacobian from automatic differentiation."""

        def flow(row: Tensor) -> Tensor:
            first, second = row.chunk(2)
            s, t = network(first[None])
            return torch.cat([first, second * s[0].exp() + t[0]])

        base: Any = Normal(0.0, 1.0)
        jacobian_of: Any = torch.autograd.functional.jacobian
        values = []
        for row in x.double():
            jacobian = jacobian_of(flow, row)
            values.append(base.log_prob(flow(row)).sum() + jacobian.slogdet()[1])
        return torch.stack(values)
