"""Lesson 3: the nearest code, and a gradient through the choice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genlab.course.exercises import Answer, Case, Exercise, Mistake


def quantise(z: Tensor, codebook: Tensor) -> Tensor:
    """Replace each vector of z [N, D] by the nearest of the codes [K, D], in Euclidean distance.

    Returns [N, D]. In the backward pass the gradient goes to z unchanged (straight-through): the
    derivative of the result by z is the identity, and no gradient goes to the codebook.
    """
    e = codebook[torch.cdist(z, codebook).argmin(dim=1)]
    return z + (e - z).detach()


def nearest(z: Tensor, codebook: Tensor) -> Tensor:
    """The nearest codes [N, D], with the gradient of a lookup."""
    return codebook[torch.cdist(z, codebook).argmin(dim=1)]


def by_inner_product(z: Tensor, codebook: Tensor) -> Tensor:
    """Chooses the code of the largest inner product."""
    return z + (codebook[(z @ codebook.T).argmax(dim=1)] - z).detach()


class Quantise(Exercise):
    """The gradient is a part of the result."""

    number = "3.2"
    title = "Vector quantisation with a straight-through gradient"
    solution = staticmethod(quantise)
    mistakes = (
        Mistake(
            nearest,
            "the codes are right, but no gradient reaches z: the encoder would not learn.",
        ),
        Mistake(
            lambda z, codebook: nearest(z, codebook) + (z - nearest(z, codebook)).detach(),
            "the values are those of z itself. Of the two terms, the other one should be the "
            "constant of the backward pass.",
        ),
        Mistake(
            lambda z, codebook: 2 * z + (nearest(z, codebook) - 2 * z).detach(),
            "the values are right, but the gradient of z is counted twice.",
        ),
        Mistake(
            by_inner_product,
            "you take the code of the largest inner product. A long code is not a near one.",
        ),
        Mistake(
            lambda z, codebook: z + nearest(z, codebook) - z.detach(),
            "values and gradient of z are right, but the codebook gets a gradient as well.",
        ),
        Mistake(
            lambda z, codebook: quantise(z, codebook).detach(),
            "no gradient reaches z or the codebook: everything is detached.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        # Codes of very different lengths, which tell distance and inner product apart
        return [
            (torch.randn(n, 3), torch.randn(k, 3) * torch.linspace(0.3, 3, k)[:, None])
            for n, k in ((6, 4), (40, 12))
        ]

    def result(self, answer: Answer, *args: Any) -> Any:
        """The vectors, and the gradients that z and the codebook get from random weights."""
        z, codebook = (value.clone().requires_grad_() for value in args)
        vectors = answer(z, codebook)
        if not isinstance(vectors, Tensor) or vectors.shape != z.shape:
            return vectors if vectors is None else (vectors, z.detach(), codebook.detach())
        weights = torch.linspace(-1, 1, z.numel()).reshape(z.shape)
        gradients: list[Tensor | None] = [None, None]
        if vectors.requires_grad:
            total = (weights * vectors).sum()
            gradients = list(torch.autograd.grad(total, [z, codebook], allow_unused=True))
        return (
            vectors.detach(),
            *(
                torch.zeros_like(value) if gradient is None else gradient
                for value, gradient in zip((z, codebook), gradients, strict=True)
            ),
        )

    def oracle(self, z: Tensor, codebook: Tensor) -> Any:
        rows = []
        for row in z:
            distances = [float(((row - e) ** 2).sum()) for e in codebook]
            rows.append(codebook[distances.index(min(distances))])
        weights = torch.linspace(-1, 1, z.numel()).reshape(z.shape)
        return torch.stack(rows), weights, torch.zeros_like(codebook)
