"""Lesson 2: the bound of many importance samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def iwae(log_w: Tensor) -> Tensor:
    """IWAE-K in nats from log importance weights.

    log_w [K, B] holds log p(x, z_k) - log q(z_k|x) of K draws for each of B images. Returns [B],
    the estimate of log p(x). The weights may be as small as exp(-2000), as those of images are.
    """
    return log_w.logsumexp(dim=0) - math.log(len(log_w))


class Iwae(Exercise):
    """A mean of weights, not of their logarithms."""

    number = "2.2"
    title = "The importance weighted bound"
    solution = staticmethod(iwae)
    tolerance = 1e-5
    mistakes = (
        Mistake(
            lambda log_w: log_w.mean(dim=0),
            "this is the mean of the logarithms, which is the ELBO. IWAE-K exchanges the two.",
        ),
        Mistake(
            lambda log_w: log_w.logsumexp(dim=0),
            "the value grows with K even if all weights are equal. A mean is not a sum.",
        ),
        Mistake(
            lambda log_w: log_w.exp().mean(dim=0).log(),
            "right on paper, but float32 rounds exp(-1000) to 0. Take the largest weight out of "
            "the sum first, or use a function that does.",
        ),
        Mistake(
            lambda log_w: log_w.max(dim=0).values,
            "this is the largest weight only. The others count as well.",
        ),
        Mistake(
            lambda log_w: iwae(log_w).mean(),
            "you return the mean over the images. The exercise asks for one value for each image.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        small = torch.randn(5, 3)
        return [(small,), (torch.randn(64, 2),), (2 * torch.randn(8, 4) - 1000,)]

    def oracle(self, log_w: Tensor) -> Tensor:
        values = []
        for column in log_w.double().T.tolist():
            top = max(column)
            mean = math.fsum(math.exp(value - top) for value in column) / len(column)
            values.append(top + math.log(mean))
        return torch.tensor(values)
