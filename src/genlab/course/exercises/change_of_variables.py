"""Lesson 0: the density of a transformed variable."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import AffineTransform, ExpTransform, Normal, TransformedDistribution

from genlab.course.exercises import Case, Exercise, Mistake


def log_density(y: Tensor, a: float, b: float) -> Tensor:
    """log p(y) of y = exp(a x + b), where x ~ N(0, 1).

    y has the shape [N] and is positive; a may be negative, but is not 0. Returns [N], in nats.
    """
    x = (y.log() - b) / a
    log_normal = -0.5 * (x**2 + math.log(2 * math.pi))
    return log_normal - math.log(abs(a)) - y.log()


class ChangeOfVariables(Exercise):
    """Density divided by stretch."""

    number = "0.3"
    title = "Density of a transformed variable"
    solution = staticmethod(log_density)
    mistakes = (
        Mistake(
            lambda y, a, b: log_density(y, a, b) + math.log(abs(a)) + y.log(),
            "this is the density of x at the right place. How much longer is a small interval "
            "around x after the map?",
        ),
        Mistake(
            lambda y, a, b: log_density(y, a, b) + 2 * (math.log(abs(a)) + y.log()),
            "the log-determinant has the wrong sign. Where the map stretches an interval, does "
            "the density become larger or smaller?",
        ),
        Mistake(
            lambda y, a, b: log_density(y, a, b) + y.log(),
            "the derivative of the affine part is there, that of the exponential is missing.",
        ),
        Mistake(
            lambda y, a, b: log_density(y, a, b) + math.log(abs(a)),
            "the derivative of the exponential is there, that of the affine part is missing.",
        ),
        Mistake(
            lambda y, a, b: log_density(y, a, b) + math.log(2 * math.pi) / 2,
            "every value is off by the same constant. Does your normal density integrate to 1?",
        ),
        Mistake(
            lambda y, a, b: log_density(y, a, b) + math.log(abs(a)) - torch.tensor(a).log(),
            "there is a NaN where a is negative. A density is divided by the length of a "
            "stretched interval, and a length has no sign.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        settings = ((1.0, 0.0), (0.5, 1.0), (-2.0, 0.3), (-0.7, -0.5))
        return [((a * torch.randn(6) + b).exp(), a, b) for a, b in settings]

    def oracle(self, y: Tensor, a: float, b: float) -> Tensor:
        transforms = [AffineTransform(b, a), ExpTransform()]
        distribution: Any = TransformedDistribution(Normal(0.0, 1.0), transforms)
        log_p: Tensor = distribution.log_prob(y)
        return log_p
