"""Lesson 6: the score of noisy data."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def mixture_score(x: Tensor, points: Tensor, sigma: float) -> Tensor:
    """Score of data with noise: grad log p(x), where p is the mean of N(x; points[k], sigma^2 I).

    This is the density of a data set of K points [K, D] to which noise was added. x [B, D];
    returns [B, D].
    """
    distance = torch.cdist(x, points) ** 2
    weights = (-distance / (2 * sigma**2)).softmax(dim=1)
    return (weights @ points - x) / sigma**2


def posterior_mean(x: Tensor, points: Tensor, sigma: float) -> Tensor:
    """E[x_0 | x] [B, D]."""
    return x + sigma**2 * mixture_score(x, points, sigma)


class MixtureScore(Exercise):
    """The score that a perfect network would learn."""

    number = "6.2"
    title = "The score of a data set with noise"
    solution = staticmethod(mixture_score)
    mistakes = (
        Mistake(
            lambda *args: -mixture_score(*args),
            "the sign is wrong. The score points to where the density grows.",
        ),
        Mistake(
            lambda x, points, sigma: sigma * mixture_score(x, points, sigma),
            "right but for a factor that depends on sigma: this is the predicted noise, up to "
            "its sign. Differentiate the exponent again.",
        ),
        Mistake(
            lambda x, points, sigma: sigma**2 * mixture_score(x, points, sigma),
            "this is the way from x to the denoised image. How does the length of the score "
            "depend on sigma?",
        ),
        Mistake(
            posterior_mean,
            "this is the denoised image E[x_0|x]. What does Tweedie's formula do with it?",
        ),
        Mistake(
            lambda x, points, sigma: (points.mean(dim=0) - x) / sigma**2,
            "all points have the same weight, wherever x is. Which of them would x come from?",
        ),
        Mistake(
            lambda x, points, sigma: (
                ((-(torch.cdist(x, points) ** 2) / sigma**2).softmax(dim=1) @ points - x) / sigma**2
            ),
            "the weights of the points are too sharp. Compare their exponent with a Gaussian's.",
        ),
        Mistake(
            lambda x, points, sigma: (
                ((-torch.cdist(x, points) / (2 * sigma**2)).softmax(dim=1) @ points - x) / sigma**2
            ),
            "the weights of the points use the distance itself, not what a Gaussian uses.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        return [
            (torch.randn(4, d), torch.randn(k, d), sigma)
            for k, d, sigma in ((2, 1, 0.8), (5, 3, 0.6), (7, 2, 1.7))
        ]

    def oracle(self, x: Tensor, points: Tensor, sigma: float) -> Tensor:
        """By automatic differentiation of the log density."""
        x = x.double().requires_grad_()
        square = ((x[:, None] - points.double()) ** 2).sum(dim=2)
        log_p = (-square / (2 * sigma**2)).logsumexp(dim=1)
        return torch.autograd.grad(log_p.sum(), x)[0]
