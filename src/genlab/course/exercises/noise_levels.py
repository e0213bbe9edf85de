"""Lesson 7: EDM's noise levels."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def noise_levels(n: int, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
    """EDM's noise levels: n levels that fall from sigma_max to sigma_min, then 0; [n + 1].

    sigma^(1 / rho) is even between both ends, which are included; n is at least 2.
    """
    share = torch.linspace(0, 1, n)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return torch.cat([(high + share * (low - high)) ** rho, torch.zeros(1)])


class NoiseLevels(Exercise):
    """Where the steps go."""

    number = "7.2"
    title = "EDM's noise levels"
    solution = staticmethod(noise_levels)
    mistakes = (
        Mistake(
            lambda n, low, high, rho: noise_levels(n, low, high, rho)[:-1],
            "the last level is missing: where does a sampler end?",
        ),
        Mistake(
            lambda n, low, high, rho: noise_levels(n, low, high, rho).flip(0),
            "the levels rise. Sampling begins with noise.",
        ),
        Mistake(
            lambda n, low, high, rho: torch.cat(
                [noise_levels(n, low, high, rho)[:-1].flip(0), torch.zeros(1)]
            ),
            "the levels rise before the last one. Sampling begins with noise.",
        ),
        Mistake(
            lambda n, low, high, rho: noise_levels(n, low, high, 1 / rho),
            "rho and 1 / rho have changed places: most of your levels are at high noise.",
        ),
        Mistake(
            lambda n, low, high, rho: noise_levels(n, low, high, 1.0),
            "the levels are even in sigma itself. What does rho do?",
        ),
        Mistake(
            lambda n, low, high, rho: torch.cat(
                [noise_levels(n + 1, low, high, rho)[:n], torch.zeros(1)]
            ),
            "sigma_min is not among your levels. Into how many parts do n levels divide the way?",
        ),
        Mistake(
            lambda n, low, high, rho: torch.cat(
                [noise_levels(n, low, high, rho)[:-1] ** (1 / rho), torch.zeros(1)]
            ),
            "these are the levels to the power of 1 / rho.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        rho = 3 + 5 * float(torch.rand(()))
        return [(n, 0.002, 80.0, value) for n, value in ((2, 7.0), (5, rho), (18, 7.0))]

    def oracle(self, n: int, sigma_min: float, sigma_max: float, rho: float) -> Tensor:
        """Karras et al. 2022 (arXiv:2206.00364), equation 5, term by term."""
        low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
        levels = [(high + i / (n - 1) * (low - high)) ** rho for i in range(n)]
        return torch.tensor([*levels, 0.0], dtype=torch.float64)
