"""Bijections of images with a cheap Jacobian determinant: the layers of flows.

Kingma & Dhariwal 2018 (arXiv:1807.03039, table 1) and Dinh et al. 2017 (arXiv:1605.08803); the
couplings are in `genlab.nn.coupling`. Every layer maps x to z, in the direction from data to noise,
and returns its log-determinant:

    forward(x [B, C, H, W]) -> z, logdet [B]        logdet = log |det dz/dx|
    inverse(z) -> x

so that log p(x) = log p(z) + the sum of the logdets of all layers between them.

**Padding.** Where an image does not fill the grid, `real` [C, H, W] marks the entries that belong
to it; the others are zero in every layer. A layer is then a bijection of the D real entries,
R^D -> R^D, its determinant is that of these D dimensions, and the density of the unpadded image is
exact: the padding only completes the grid for the convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.nn.collectives import sum_over_processes
from genlab.nn.layers import mirror_on_host


def total(x: Tensor) -> Tensor:
    """Sum over all dimensions but the batch: [B, C, H, W] -> [B]."""
    return x.sum(dim=(1, 2, 3))


class Bijection(nn.Module):
    """x [B, C, H, W] <-> z, both zero outside of the image.

    Args:
        real: bool [C, H, W], which entries of x belong to the image; stored as zeros and ones.
    """

    real: Tensor

    def __init__(self, real: Tensor) -> None:
        super().__init__()
        self.register_buffer("real", real.float(), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def inverse(self, z: Tensor) -> Tensor:
        raise NotImplementedError


class Fold(Bijection):
    """Folds blocks of h x w pixels into channels: [B, C, H, W] -> [B, C h w, H / h, W / w].

    With 2 x 2 it is the squeezing of RealNVP, section 3.6. `real` is that of x.
    """

    def __init__(self, real: Tensor, h: int, w: int) -> None:
        super().__init__(real)
        self.h, self.w = h, w

    def fold(self, x: Tensor) -> Tensor:
        b, c, height, width = x.shape
        blocks = x.reshape(b, c, height // self.h, self.h, width // self.w, self.w)
        return blocks.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.fold(x), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        b, c, rows, columns = z.shape
        blocks = z.reshape(b, c // (self.h * self.w), self.h, self.w, rows, columns)
        return blocks.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)


class ActNorm(Bijection):
    """z = exp(log_s) (x + b), channel by channel (Glow, section 3.1).

    That is the authors' code; Glow's table 1 adds the shift after scaling. The first batch in
    training mode sets both such that every channel of z has mean 0 and variance 1; afterwards they
    are ordinary parameters. `initialised` is saved with them, so this happens once.
    """

    initialised: Tensor  # bool []

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        self.b = nn.Parameter(torch.zeros(len(real), 1, 1))
        self.log_s = nn.Parameter(torch.zeros(len(real), 1, 1))
        self.register_buffer("initialised", torch.tensor(False))
        mirror_on_host(self, "initialised")

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set b and log_s by mean and variance of the real entries of x, in all processes."""
        entries = sum_over_processes(len(x) * self.real.sum(dim=(1, 2), keepdim=True))  # [C, 1, 1]
        entries = entries.clamp(min=1)
        mean = sum_over_processes(x.sum(dim=(0, 2, 3)))[:, None, None] / entries
        squares = ((x - mean) * self.real).square().sum(dim=(0, 2, 3))
        variance = sum_over_processes(squares)[:, None, None] / entries
        self.b.copy_(-mean)
        self.log_s.copy_(-0.5 * (variance + 1e-6).log())
        self.initialised.fill_(True)
        self.on_host = True

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and not self.on_host:
            self.initialise(x)
        z = (x + self.b) * (self.log_s.exp() * self.real)
        return z, (self.log_s * self.real).sum().expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return (z * (-self.log_s).exp() - self.b) * self.real


class InvertibleConv(Bijection):
    """z = W x at every pixel, W = P L (U + diag(s)) [C, C] (Glow, section 3.2, equation 10).

    W starts as a random rotation. P and the signs of s are fixed; L (unit lower triangular), U
    (strictly upper) and log |s| are learned, so that log |det W| = sum log |s| costs nothing. A
    pixel with some channels that are not real is unchanged.
    """

    order: Tensor  # int64 [C]: P x = x[order]
    sign: Tensor  # [C]
    full: Tensor  # bool [H, W], where all channels are real

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        rotation, _ = torch.linalg.qr(torch.randn(len(real), len(real), dtype=torch.float64))
        p, lower, upper = torch.linalg.lu(rotation)
        s = upper.diagonal()
        self.triangles = nn.Parameter((lower.tril(-1) + upper.triu(1)).float())  # L below, U above
        self.log_s = nn.Parameter(s.abs().log().float())
        self.register_buffer("order", p.argmax(dim=1))
        self.register_buffer("sign", s.sign().float())
        self.register_buffer("full", real.all(dim=0), persistent=False)

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(s), each [C, C]."""
        lower = self.triangles.tril(-1) + torch.ones_like(self.log_s).diag()
        upper = self.triangles.triu(1) + (self.sign * self.log_s.exp()).diag()
        return lower, upper

    def at_every_pixel(self, x: Tensor, *factors: Tensor) -> Tensor:
        """The product of `factors`, each [C, C], times x at every pixel."""
        z = x.movedim(1, -1)
        with torch.autocast(x.device.type, enabled=False):
            for factor in reversed(factors):
                z = F.linear(z, factor)
        return z.movedim(-1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # Forming the product L U would cost C^3.
        z = self.at_every_pixel(x, *self.factors())[:, self.order]
        return torch.where(self.full, z, x), (self.full.sum() * self.log_s.sum()).expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        lower, upper = (factor.double() for factor in self.factors())
        p = torch.ones_like(self.log_s).double().diag()[self.order]
        inverse = torch.linalg.solve_triangular(lower, p.T, upper=False)
        inverse = torch.linalg.solve_triangular(upper, inverse, upper=True)  # W^-1, in double
        return torch.where(self.full, self.at_every_pixel(z, inverse.to(z)), z)


class GaussianPrior(Bijection):
    """Whitens the last z by its prior: a mean and a standard deviation for every entry.

    Glow has one for every channel; here the position in the image matters.
    """

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        self.mu = nn.Parameter(torch.zeros(real.shape))
        self.log_sigma = nn.Parameter(torch.zeros(real.shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = (x - self.mu) * ((-self.log_sigma).exp() * self.real)
        return z, -(self.log_sigma * self.real).sum().expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return (z * self.log_sigma.exp() + self.mu) * self.real


class FlowLevel(nn.Module):
    """A sequence of layers; then all but the first `kept` channels leave the flow.

    Args:
        layers: bijections; the last one yields entries `real`, bool [C, H, W].
    """

    leaving: Tensor  # int64 [D], flat indices among the channels that leave

    def __init__(self, layers: Sequence[Bijection], real: Tensor, kept: int = 0) -> None:
        super().__init__()
        self.layers, self.kept, self.shape = nn.ModuleList(layers), kept, real[kept:].shape
        # Indices, since a GPU would have to count the ones of a mask first.
        leaving = real[kept:].flatten().nonzero()[:, 0]
        self.register_buffer("leaving", leaving, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x -> kept channels [B, kept, H, W], real entries of the others [B, D], logdet [B]."""
        logdet = x.new_zeros(len(x))
        for layer in self.layers:
            x, layer_logdet = layer(x)
            logdet = logdet + layer_logdet
        return x[:, : self.kept], x[:, self.kept :].flatten(1)[:, self.leaving], logdet

    def inverse(self, kept: Tensor, left: Tensor) -> Tensor:
        """x from the first two results of `forward`."""
        rest = left.new_zeros(len(left), math.prod(self.shape))
        rest[:, self.leaving] = left
        x = torch.cat([kept, rest.reshape(-1, *self.shape)], dim=1)
        for layer in reversed(self.layers):
            x = cast(Bijection, layer).inverse(x)
        return x
