"""Lesson 7: EDM's deterministic sampler."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake

Denoise = Callable[[Tensor, float], Tensor]


def heun_sample(
    denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: list[float]
) -> Tensor:
    """Sample with EDM's deterministic sampler: Heun's method on dx/dsigma = (x - D) / sigma.

    denoise(x, sigma) is D, the denoised image. x has the noise level sigmas[0]; sigmas falls, and
    its last level is 0. Each step goes from one level to the next with the mean of the slopes at
    both; the step to 0, where no slope is defined, is Euler's. Returns the image.
    """
    for i in range(len(sigmas) - 1):
        sigma, after = sigmas[i], sigmas[i + 1]
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (after - sigma) * slope
        if after > 0:
            slope = (slope + (ahead - denoise(ahead, after)) / after) / 2
        x = x + (after - sigma) * slope
    return x


def euler(denoise: Denoise, x: Tensor, sigmas: list[float]) -> Tensor:
    """First order."""
    for i in range(len(sigmas) - 1):
        x = x + (sigmas[i + 1] - sigmas[i]) * (x - denoise(x, sigmas[i])) / sigmas[i]
    return x


def heun_from_ahead(denoise: Denoise, x: Tensor, sigmas: list[float]) -> Tensor:
    """The corrected step starts from the predicted point."""
    for i in range(len(sigmas) - 1):
        sigma, after = sigmas[i], sigmas[i + 1]
        slope = (x - denoise(x, sigma)) / sigma
        x = x + (after - sigma) * slope
        if after > 0:
            x = x + (after - sigma) * (slope + (x - denoise(x, after)) / after) / 2
    return x


def heun_to_the_end(denoise: Denoise, x: Tensor, sigmas: list[float]) -> Tensor:
    """Also the last step takes the slope at its end, where sigma is 0."""
    for sigma, after in pairwise(sigmas):
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (after - sigma) * slope
        x = x + (after - sigma) * (slope + (ahead - denoise(ahead, after)) / after) / 2
    return x


def heun_at_old_level(denoise: Denoise, x: Tensor, sigmas: list[float]) -> Tensor:
    """The second slope is computed with the first noise level."""
    for i in range(len(sigmas) - 1):
        sigma, after = sigmas[i], sigmas[i + 1]
        slope = (x - denoise(x, sigma)) / sigma
        ahead = x + (after - sigma) * slope
        if after > 0:
            slope = (slope + (ahead - denoise(ahead, sigma)) / sigma) / 2
        x = x + (after - sigma) * slope
    return x


class Heun(Exercise):
    """A method of second order."""

    number = "7.3"
    title = "EDM's sampler by Heun's method"
    solution = staticmethod(heun_sample)
    mistakes = (
        Mistake(euler, "this is Euler's method: the slope at the end of a step is not used."),
        Mistake(
            heun_from_ahead,
            "the corrected step starts at the predicted point. Where does Heun's method start it?",
        ),
        Mistake(
            heun_to_the_end,
            "there is NaN at the end. The slope divides by the noise level: look at the last step.",
        ),
        Mistake(
            heun_at_old_level,
            "the second slope uses the noise level of the first. Which level has the predicted "
            "point?",
        ),
        Mistake(
            lambda denoise, x, sigmas: heun_sample(denoise, x, sigmas[:-1]),
            "the last step, to level 0, is missing: there is some noise left.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)

        def denoiser(std: float) -> Denoise:
            # E[x_0|x] for data from N(0, std^2)
            return lambda x, sigma: x * std**2 / (std**2 + sigma**2)

        return [
            (denoiser(std), sigmas[0] * torch.randn(4), sigmas)
            for std, sigmas in ((1.0, [2.0, 0.0]), (0.5, [4.0, 1.0, 0.3, 0.0]))
        ] + [(denoiser(0.8), torch.randn(3), [5.0, 3.0, 1.5, 0.7, 0.2, 0.0])]

    def oracle(self, denoise: Denoise, x: Tensor, sigmas: list[float]) -> Tensor:
        """For Gaussian data each step multiplies x by a number."""
        factor = 1.0
        for now, after in pairwise(sigmas):
            a, h = self.rate(denoise, now), after - now
            b = self.rate(denoise, after) if after > 0 else a
            factor *= 1 + h * (a + b * (1 + h * a)) / 2 if after > 0 else 1 + h * a
        return factor * x

    @staticmethod
    def rate(denoise: Denoise, sigma: float) -> float:
        """The slope at x = 1."""
        return (1 - float(denoise(torch.ones(1), sigma))) / sigma
