"""Lesson 5: many steps of the forward chain in one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def add_noise(x_0: Tensor, eps: Tensor, betas: Tensor, t: int) -> Tensor:
    """x_t of DDPM's forward chain after t steps, from x_0 and one draw of noise.

    One step is x_s = sqrt(1 - beta_s) x_{s-1} + sqrt(beta_s) z. betas [T] holds beta_1 .. beta_T,
    so that beta_s is betas[s - 1]; t lies in 1..T. eps ~ N(0, I) has the shape of x_0 and takes
    the place of all noise of the t steps. Returns x_t, of the shape of x_0.
    """
    alpha_bar = (1 - betas[:t]).prod()
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


def alpha_bar(betas: Tensor, t: int) -> Tensor:
    """alpha_bar after t steps."""
    return (1 - betas[:t]).prod()


class AddNoise(Exercise):
    """The closed form of the forward chain."""

    number = "5.1"
    title = "Noise of t steps at once"
    solution = staticmethod(add_noise)
    mistakes = (
        Mistake(
            lambda x, eps, betas, t: add_noise(eps, x, betas, t),
            "image and noise have each other's coefficients. Which of them is near 1 at t = 1?",
        ),
        Mistake(
            lambda x, eps, betas, t: alpha_bar(betas, t) * x + (1 - alpha_bar(betas, t)) * eps,
            "image of variance 1 and noise of variance 1 should give x_t of variance 1. Do yours?",
        ),
        Mistake(
            lambda x, eps, betas, t: (
                alpha_bar(betas, t).sqrt() * x + (1 - alpha_bar(betas, t).sqrt()) * eps
            ),
            "the factor of the noise is 1 less that of the image. Is it standard deviations or "
            "variances that add up to 1?",
        ),
        Mistake(
            lambda x, eps, betas, t: add_noise(x, eps, betas[t - 1 :], 1),
            "this is the last of the t steps only. What is left of the image after all of them?",
        ),
        Mistake(
            lambda x, eps, betas, t: add_noise(x, eps, betas, t - 1),
            "this is one step too few. beta_t is betas[t - 1], and t steps have t betas.",
        ),
        Mistake(
            lambda x, eps, betas, t: add_noise(x, eps, betas, t + 1),
            "this is one step too many. beta_t is betas[t - 1].",
        ),
        Mistake(
            lambda x, eps, betas, t: (
                betas[:t].prod().sqrt() * x + (1 - betas[:t].prod()).sqrt() * eps
            ),
            "you multiply the betas. What a step keeps of the image is not beta.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        betas = torch.linspace(0.01, 0.2, 20)
        return [(torch.randn(2, 4), torch.randn(2, 4), betas, t) for t in (1, 2, 9, 19)]

    def oracle(self, x_0: Tensor, eps: Tensor, betas: Tensor, t: int) -> Tensor:
        """Step by step: the factor of the image and the variance of the noise."""
        factor, variance = 1.0, 0.0
        for beta in betas[:t].tolist():
            factor, variance = factor * math.sqrt(1 - beta), variance * (1 - beta) + beta
        return factor * x_0 + math.sqrt(variance) * eps
