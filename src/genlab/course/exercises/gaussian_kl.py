"""Lesson 0: the divergence of two Gaussians."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from genlab.course.exercises import Case, Exercise, Mistake


def gaussian_kl(mu_1: Tensor, sigma_1: Tensor, mu_2: Tensor, sigma_2: Tensor) -> Tensor:
    """KL(N(mu_1, sigma_1^2) || N(mu_2, sigma_2^2)) in nats.

    The sigmas are standard deviations. All arguments have the same shape [N], and so has the
    result: one KL for each element.
    """
    ratio = sigma_1 / sigma_2
    return 0.5 * (ratio**2 + ((mu_1 - mu_2) / sigma_2) ** 2 - 1) - ratio.log()


def sigma_for_variance(mu_1: Tensor, sigma_1: Tensor, mu_2: Tensor, sigma_2: Tensor) -> Tensor:
    """The right formula with each variance replaced by a standard deviation."""
    return gaussian_kl(mu_1, sigma_1.sqrt(), mu_2, sigma_2.sqrt())


class GaussianKL(Exercise):
    """The first divergence that everything else needs."""

    number = "0.2"
    title = "KL divergence of two Gaussians"
    solution = staticmethod(gaussian_kl)
    mistakes = (
        Mistake(
            sigma_for_variance,
            "sigma is a standard deviation here. Which power of it is the variance?",
        ),
        Mistake(
            lambda m1, s1, m2, s2: gaussian_kl(m2, s2, m1, s1),
            "this is the KL in the other direction. Which of the two densities is the "
            "expectation taken over?",
        ),
        Mistake(
            lambda m1, s1, m2, s2: gaussian_kl(m1, s1, m2, s2) + 0.5,
            "your KL of a Gaussian with itself is not 0. A constant term is missing.",
        ),
        Mistake(
            lambda m1, s1, m2, s2: 2 * gaussian_kl(m1, s1, m2, s2),
            "every value is twice too large. Look at the exponent of a Gaussian density again.",
        ),
        Mistake(
            lambda m1, s1, m2, s2: gaussian_kl(m1, s1, m2, s2) + 2 * (s1 / s2).log(),
            "the sign of the logarithm is wrong. What should happen to the KL when sigma_1 "
            "approaches 0?",
        ),
        Mistake(
            lambda m1, s1, m2, s2: gaussian_kl(m1, s1, m2, s2).sum(),
            "you return one sum. The exercise asks for one KL for each element.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        return [
            (torch.randn(n), torch.rand(n) + 0.3, torch.randn(n), torch.rand(n) + 0.5)
            for n in (1, 3, 20)
        ]

    def oracle(self, mu_1: Tensor, sigma_1: Tensor, mu_2: Tensor, sigma_2: Tensor) -> Tensor:
        return kl_divergence(Normal(mu_1, sigma_1), Normal(mu_2, sigma_2))
