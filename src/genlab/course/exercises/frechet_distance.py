"""Lesson 10: the Frechet distance of two sets of features."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def frechet_distance(a: Tensor, b: Tensor) -> Tensor:
    """Frechet distance of Gaussians fitted to features a [N, F] and b [M, F], as FID is defined.

    The covariances are divided by N - 1 and M - 1; N and M exceed F. Returns one number, the
    squared distance |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)).
    """
    a, b = a.double(), b.double()
    S_a, S_b = a.T.cov(), b.T.cov()
    # The trace of the root of a matrix is the sum of the roots of its eigenvalues.
    root = torch.linalg.eigvals(S_a @ S_b).real.clamp(min=0).sqrt().sum()
    means = (a.mean(0) - b.mean(0)).square().sum()
    distance: Tensor = means + S_a.trace() + S_b.trace() - 2 * root
    return distance


def of_means(a: Tensor, b: Tensor) -> Tensor:
    """The squared distance of the means."""
    distance: Tensor = (a.mean(0) - b.mean(0)).square().sum()
    return distance


def of_covariances(a: Tensor, b: Tensor) -> Tensor:
    """tr(S_a + S_b)."""
    return a.T.cov().trace() + b.T.cov().trace()


def product(a: Tensor, b: Tensor) -> Tensor:
    """S_a S_b."""
    return a.T.cov() @ b.T.cov()


def trace_of_root(a: Tensor, b: Tensor) -> Tensor:
    """tr((S_a S_b)^(1/2))."""
    return (of_means(a, b) + of_covariances(a, b) - frechet_distance(a, b)) / 2


class FrechetDistance(Exercise):
    """FID without its network."""

    number = "10.2"
    title = "The Frechet distance"
    solution = staticmethod(frechet_distance)
    mistakes = (
        Mistake(
            lambda a, b: of_means(a, b) + of_covariances(a, b) - 2 * product(a, b).trace(),
            "the root of the product of the covariances is missing. Is your distance of a set to "
            "itself 0?",
        ),
        Mistake(
            lambda a, b: (
                of_means(a, b) + of_covariances(a, b) - 2 * product(a, b).abs().sqrt().trace()
            ),
            "you take the root of each number in the matrix. What is the root of a matrix?",
        ),
        Mistake(
            lambda a, b: of_means(a, b) + of_covariances(a, b) - trace_of_root(a, b),
            "the root counts once only. Is your distance of a set to itself 0?",
        ),
        Mistake(
            lambda a, b: of_means(a, b).sqrt() + of_covariances(a, b) - 2 * trace_of_root(a, b),
            "the distance of the means is not squared.",
        ),
        Mistake(
            lambda a, b: frechet_distance(a, b).clamp(min=0).sqrt(),
            "you return the root of the right value. FID is a squared distance.",
        ),
        Mistake(
            lambda a, b: frechet_distance(a, b) - of_means(a, b),
            "the means have no part in your value.",
        ),
        Mistake(
            lambda a, b: (
                of_means(a, b)
                + (len(a) - 1) / len(a) * a.T.cov().trace()
                + (len(b) - 1) / len(b) * b.T.cov().trace()
                - 2 * ((len(a) - 1) / len(a) * (len(b) - 1) / len(b)) ** 0.5 * trace_of_root(a, b)
            ),
            "the covariances are divided by N and M: they are estimates, with one degree of "
            "freedom spent on the mean.",
        ),
        Mistake(
            lambda a, b: of_means(a, b) + (a.std(0) - b.std(0)).square().sum(),
            "you compare the variances of single features. Their correlations count as well.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)

        def features(n: int, size: int) -> Tensor:
            return torch.randn(n, size) @ torch.randn(size, size) + torch.randn(size)

        return [(features(n, f), features(m, f)) for n, m, f in ((12, 9, 2), (15, 20, 4))]

    def oracle(self, a: Tensor, b: Tensor) -> Tensor:
        """With symmetric roots in NumPy: tr((R S_b R)^(1/2)), R the root of S_a."""
        first, second = a.double().numpy(), b.double().numpy()
        cov_a, cov_b = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
        values, vectors = np.linalg.eigh(cov_a)
        R = (vectors * np.sqrt(values)) @ vectors.T
        root = np.sqrt(np.linalg.eigvalsh(R @ cov_b @ R).clip(min=0)).sum()
        means = first.mean(axis=0) - second.mean(axis=0)
        return torch.tensor(means @ means + np.trace(cov_a) + np.trace(cov_b) - 2 * root)
