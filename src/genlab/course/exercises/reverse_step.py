"""Lesson 5: the reverse step of DDPM, given the image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def reverse_step(x_t: Tensor, x_0: Tensor, betas: Tensor, t: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of q(x_{t-1} | x_t, x_0), the reverse step of DDPM if the image is known.

    betas [T] holds beta_1 .. beta_T, so that beta_t is betas[t - 1]; t lies in 2..T. Returns the
    mean, of the shape of x_t, and the variance of each pixel, a single number.
    """
    alpha_bar = (1 - betas).cumprod(dim=0)
    beta, now, before = betas[t - 1], alpha_bar[t - 1], alpha_bar[t - 2]
    mean = before.sqrt() * beta * x_0 + (1 - beta).sqrt() * (1 - before) * x_t
    return mean / (1 - now), beta * (1 - before) / (1 - now)


def mean(x_t: Tensor, x_0: Tensor, betas: Tensor, t: int) -> Tensor:
    """The right mean."""
    return reverse_step(x_t, x_0, betas, t)[0]


class ReverseStep(Exercise):
    """Bayes' rule for Gaussians."""

    number = "5.3"
    title = "The reverse step of DDPM, given the image"
    solution = staticmethod(reverse_step)
    mistakes = (
        Mistake(
            lambda x, x_0, betas, t: (mean(x, x_0, betas, t), betas[t - 1]),
            "the mean is right. The variance is that of the forward step: x_0 is known here, so "
            "there is less left to be uncertain about.",
        ),
        Mistake(
            lambda x, x_0, betas, t: (
                mean(x, x_0, betas, t),
                reverse_step(x, x_0, betas, t)[1].sqrt(),
            ),
            "the mean is right, but you return a standard deviation.",
        ),
        Mistake(
            lambda x, x_0, betas, t: (
                mean(x_0, x, betas, t),
                reverse_step(x, x_0, betas, t)[1],
            ),
            "the variance is right. In the mean x_t and x_0 have each other's coefficients.",
        ),
        Mistake(
            lambda x, x_0, betas, t: (
                (1 - betas).cumprod(dim=0)[t - 2].sqrt() * x_0 + 0 * x,
                1 - (1 - betas).cumprod(dim=0)[t - 2],
            ),
            "this is q(x_{t-1} | x_0), which ignores x_t.",
        ),
        Mistake(
            lambda x, x_0, betas, t: reverse_step(x, x_0, torch.cat([betas[:1], betas]), t),
            "the formula is right, one step too early: beta_t is betas[t - 1].",
        ),
        Mistake(
            lambda x, x_0, betas, t: (
                (1 - betas[t - 1]).sqrt() * x + 0 * x_0,
                betas[t - 1],
            ),
            "this is another forward step from x_t. Use Bayes' rule to turn it around.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        betas = torch.linspace(0.02, 0.3, 12)
        return [(torch.randn(2, 3), torch.randn(2, 3), betas, t) for t in (2, 5, 11)]

    def oracle(self, x_t: Tensor, x_0: Tensor, betas: Tensor, t: int) -> Any:
        """By conditioning the joint Gaussian of (x_{t-1}, x_t), built step by step."""
        factor, variance = 1.0, 0.0  # of x_{t-1} given x_0
        for beta in betas[: t - 1].tolist():
            factor, variance = factor * (1 - beta) ** 0.5, variance * (1 - beta) + beta
        beta = float(betas[t - 1])
        covariance = (1 - beta) ** 0.5 * variance
        gain = covariance / ((1 - beta) * variance + beta)
        expected = (1 - beta) ** 0.5 * factor * x_0
        return factor * x_0 + gain * (x_t - expected), variance - gain * covariance
