"""Lesson 10: precision by nearest neighbours."""

from __future__ import annotations

from math import dist

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def precision(real: Tensor, generated: Tensor, k: int) -> Tensor:
    """Share of the generated features [M, F] that lie in a ball around a real one [N, F].

    The ball of a real image reaches to its k-th nearest neighbour among the other real images;
    its edge belongs to it. k is less than N. Returns one number.
    """
    others = torch.cdist(real, real).fill_diagonal_(float("inf"))
    radius = others.kthvalue(k, dim=1).values
    return (torch.cdist(generated, real) <= radius).any(dim=1).double().mean()


def with_itself(real: Tensor, generated: Tensor, k: int) -> Tensor:
    """Each real image counts as its own nearest neighbour."""
    radius = torch.cdist(real, real).fill_diagonal_(0.0).kthvalue(k, dim=1).values
    return (torch.cdist(generated, real) <= radius).any(dim=1).double().mean()


def in_nearest_ball(real: Tensor, generated: Tensor, k: int) -> Tensor:
    """Only the ball of the nearest real image is tried."""
    radius = torch.cdist(real, real).fill_diagonal_(float("inf")).kthvalue(k, dim=1).values
    distance, index = torch.cdist(generated, real).min(dim=1)
    return (distance <= radius[index]).double().mean()


def balls_per_sample(real: Tensor, generated: Tensor, k: int) -> Tensor:
    """Mean number of balls that a sample lies in, divided by k: density."""
    radius = torch.cdist(real, real).fill_diagonal_(float("inf")).kthvalue(k, dim=1).values
    return (torch.cdist(generated, real) <= radius).double().sum(dim=1).mean() / k


class Precision(Exercise):
    """Balls around real images."""

    number = "10.3"
    title = "Precision"
    solution = staticmethod(precision)
    tolerance = 1e-6
    mistakes = (
        Mistake(
            lambda real, generated, k: precision(generated, real, k),
            "the balls are around the generated images. This is recall.",
        ),
        Mistake(
            with_itself,
            "your balls are too small: every image is its own nearest neighbour, at distance 0.",
        ),
        Mistake(
            in_nearest_ball,
            "you try the ball of the nearest real image only. A farther one may have a larger "
            "ball.",
        ),
        Mistake(
            balls_per_sample,
            "you count how many balls a sample lies in. That is density, not precision.",
        ),
        Mistake(
            lambda real, generated, k: precision(real, generated, min(k + 1, len(real) - 1)),
            "your balls reach one neighbour too far.",
        ),
        Mistake(
            lambda real, generated, k: len(generated) * precision(real, generated, k),
            "this is a number of images. The exercise asks for their share.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        return [
            (torch.randn(n, f), spread * torch.randn(m, f), k)
            for n, m, f, k, spread in (
                (40, 60, 4, 3, 1.4),
                (50, 70, 3, 2, 1.2),
                (30, 80, 2, 4, 2),
            )
        ]

    def oracle(self, real: Tensor, generated: Tensor, k: int) -> float:
        """By loops over pairs of images."""
        points = real.double().tolist()
        radii = []
        for i, point in enumerate(points):
            others = points[:i] + points[i + 1 :]
            radii.append(sorted(dist(point, other) for other in others)[k - 1])
        inside = [
            any(dist(sample, point) <= r for point, r in zip(points, radii, strict=True))
            for sample in generated.double().tolist()
        ]
        return sum(inside) / len(inside)
