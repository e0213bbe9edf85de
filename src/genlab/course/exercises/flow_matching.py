"""Lesson 8: the loss of flow matching."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake

Velocity = Callable[[Tensor, Tensor], Tensor]


def flow_matching_loss(
    velocity: Callable[[Tensor, Tensor], Tensor], x_0: Tensor, eps: Tensor, t: Tensor
) -> Tensor:
    """Loss of conditional flow matching on straight lines, from the image (t = 0) to noise (t = 1).

    x_0 and eps [B, D] are images and noise, t [B] times in 0..1. velocity(x, t) is the network:
    [B, D] and [B] to [B, D], the predicted dx/dt. Returns one number: the squared error of the
    velocity, averaged over batch and dimensions.
    """
    x_t = (1 - t)[:, None] * x_0 + t[:, None] * eps
    return (velocity(x_t, t) - (eps - x_0)).square().mean()


class FlowMatching(Exercise):
    """Regression on the velocity of a line."""

    number = "8.2"
    title = "The loss of flow matching"
    solution = staticmethod(flow_matching_loss)
    mistakes = (
        Mistake(
            lambda v, x, eps, t: flow_matching_loss(lambda y, s: -v(y, s), x, eps, t),
            "the target points from noise to image. In which direction does t grow here?",
        ),
        Mistake(
            lambda v, x, eps, t: (
                (v(t[:, None] * x + (1 - t)[:, None] * eps, t) - (eps - x)).square().mean()
            ),
            "x_t is on the line, but at the wrong end: where is the image at t = 0?",
        ),
        Mistake(
            lambda v, x, eps, t: (
                (v(t[:, None] * x + (1 - t)[:, None] * eps, t) - (x - eps)).square().mean()
            ),
            "this is the convention of papers that count time from the noise. Here t = 0 is the "
            "image.",
        ),
        Mistake(
            lambda v, x, eps, t: (
                (v((1 - t)[:, None] * x + t[:, None] * eps, t) - eps).square().mean()
            ),
            "the target is the noise, as in a DDPM. What is the derivative of x_t by t?",
        ),
        Mistake(
            lambda v, x, eps, t: flow_matching_loss(v, x, eps, t) * x.shape[1],
            "you sum over dimensions. The exercise asks for the mean over them as well.",
        ),
        Mistake(
            lambda v, x, eps, t: flow_matching_loss(v, x, eps, t) * x.numel(),
            "this is a sum. The exercise asks for a mean.",
        ),
        Mistake(
            lambda v, x, eps, t: (
                (v((1 - t).sqrt()[:, None] * x + t.sqrt()[:, None] * eps, t) - (eps - x))
                .square()
                .mean()
            ),
            "x_t has square roots, as if it were a DDPM's. A straight line has none.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)

        def network(dimensions: int) -> Velocity:
            weight = torch.randn(dimensions, dimensions)
            return lambda x, t: (x @ weight.to(x.dtype)).tanh() + t[:, None]

        return [
            (network(d), 0.5 + torch.randn(b, d), torch.randn(b, d), torch.rand(b))
            for b, d in ((1, 2), (6, 3), (20, 5))
        ]

    def oracle(self, velocity: Velocity, x_0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """Image by image; the target is a difference quotient of the line."""
        step = 1e-3
        errors = []
        for image, noise, time in zip(x_0.double(), eps.double(), t.double(), strict=True):
            before, now, after = (
                torch.lerp(image, noise, time + shift) for shift in (-step, 0.0, step)
            )
            predicted = velocity(now[None], time[None])[0]
            errors.append((predicted - (after - before) / (2 * step)) ** 2)
        return torch.cat(errors).mean()
