"""Lesson 9: classifier-free guidance."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def guided(conditional: Tensor, unconditional: Tensor, w: float) -> Tensor:
    """Classifier-free guidance of the scale w, in GenLab's convention.

    The arguments are predictions of the network for the same x_t, with and without the condition.
    w = 0 ignores the condition, w = 1 is the conditional model, and w > 1 exaggerates the
    condition. Returns the guided prediction, of the same shape.
    """
    return unconditional + w * (conditional - unconditional)


class Guidance(Exercise):
    """Extrapolation from the model without the condition."""

    number = "9.2"
    title = "Classifier-free guidance"
    solution = staticmethod(guided)
    mistakes = (
        Mistake(
            lambda c, u, w: guided(c, u, 1 + w),
            "this is the convention of Ho and Salimans, in which w = 0 is the conditional model.",
        ),
        Mistake(
            lambda c, u, w: guided(u, c, w),
            "conditional and unconditional prediction have changed places: try w = 0.",
        ),
        Mistake(
            lambda c, u, w: u + w * c,
            "at w = 1 this is not the conditional model. Which difference is scaled?",
        ),
        Mistake(
            lambda c, u, w: w * c + 0 * u,
            "the unconditional prediction is not used, so that the whole prediction is scaled.",
        ),
        Mistake(
            lambda c, u, w: u + w * w * (c - u),
            "the scale is applied twice.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        return [(torch.randn(2, 3), torch.randn(2, 3), w) for w in (0.0, 1.0, 0.5, 2.0, 5.0)]

    def oracle(self, conditional: Tensor, unconditional: Tensor, w: float) -> Tensor:
        """The score of p(x|c)^w p(x)^(1 - w), of Gaussians whose scores at x = 0 are given."""
        x = torch.zeros_like(conditional, dtype=torch.float64, requires_grad=True)
        log_conditional = -((x - conditional) ** 2).sum() / 2
        log_unconditional = -((x - unconditional) ** 2).sum() / 2
        total = w * log_conditional + (1 - w) * log_unconditional
        return torch.autograd.grad(total, x)[0]
