"""Lesson 4: bits per dimension of 8-bit images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genlab.course.exercises import Case, Exercise, Mistake


def bits_per_dim(log_p: Tensor, dimensions: int) -> Tensor:
    """Bits per dimension of 8-bit images, from the log density of dequantised pixels.

    log_p [B] is log p(y) in nats, where y = (x + u) / 256 with grey values x in 0..255 and u
    uniform on [0, 1); an image has `dimensions` values. A uniform density of y on [0, 1) costs 8
    bits per dimension. Returns [B].
    """
    return 8 - log_p / (dimensions * math.log(2))


class BitsPerDim(Exercise):
    """Units of a likelihood."""

    number = "4.3"
    title = "Bits per dimension"
    solution = staticmethod(bits_per_dim)
    mistakes = (
        Mistake(
            lambda log_p, d: -log_p / (d * math.log(2)),
            "a uniform density on [0, 1) has log p = 0, and should cost 8 bits per dimension.",
        ),
        Mistake(
            lambda log_p, d: 8 - log_p / d,
            "log_p is in nats. How many bits is a nat?",
        ),
        Mistake(
            lambda log_p, d: 8 + log_p / (d * math.log(2)),
            "a more probable image should cost fewer bits, not more.",
        ),
        Mistake(
            lambda log_p, d: 8 * d - log_p / math.log(2),
            "these are the bits of the whole image.",
        ),
        Mistake(
            lambda log_p, d: 8 - log_p / (d * math.log(256)),
            "you take the logarithm to the base 256. A bit belongs to the base 2.",
        ),
        Mistake(
            lambda log_p, d: math.log(256) - log_p / d,
            "these are nats per dimension.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        return [(torch.randn(4) * d + 2 * d, d) for d in (1, 784, 3072)]

    def oracle(self, log_p: Tensor, dimensions: int) -> Tensor:
        """From the probability of the cell of an image, whose volume is 256^-D."""
        log_mass = log_p.double() - dimensions * math.log(256)
        return -(log_mass / dimensions).exp().log2()
