"""Bijections of images whose Jacobian determinant is cheap: the layers of Glow and RealNVP.

Kingma & Dhariwal 2018 (arXiv:1807.03039, table 1) and Dinh et al. 2017 (arXiv:1605.08803). Every
layer maps x to z, the way from data to noise, and says how much it stretches space:

    forward(x [B, C, H, W]) -> z, logdet [B]        logdet = log |det dz/dx|
    inverse(z) -> x

so that log p(x) = log p(z) + the sum of the logdets of all layers between the two.

**Padding.** Where an image doesn't fill the grid, `real` [C, H, W] marks the entries that belong to
it; the others are zero and stay zero in every layer. A layer is then a bijection of the D real
entries alone, R^D -> R^D, its determinant is that of these D dimensions, and the density of the
unpadded image stays exact: the rim only gives the convolutions a grid to work on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.nn.unet import zero


def total(x: Tensor) -> Tensor:
    """Sums over all but the batch: [B, C, H, W] -> [B]."""
    return x.sum(dim=(1, 2, 3))


def checkerboard(real: Tensor, parity: int) -> Tensor:
    """bool [C, H, W]: every second pixel, those whose row + column is even with parity 0."""
    _, height, width = real.shape
    return ((torch.arange(height)[:, None] + torch.arange(width) + parity) % 2 == 0).expand_as(real)


def channel_half(real: Tensor, parity: int) -> Tensor:
    """bool [C, H, W]: the first half of the channels with parity 0, the second with 1."""
    first = torch.arange(len(real)) < (len(real) + 1) // 2
    return (first if parity == 0 else ~first)[:, None, None].expand_as(real)


class Bijection(nn.Module):
    """x [B, C, H, W] <-> z, both zero outside of `real`, bool [C, H, W]."""

    real: Tensor

    def __init__(self, real: Tensor) -> None:
        super().__init__()
        self.register_buffer("real", real, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def inverse(self, z: Tensor) -> Tensor:
        raise NotImplementedError


class Fold(Bijection):
    """Blocks of h x w pixels become channels: [B, C, H, W] -> [B, C h w, H / h, W / w].

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

    The first batch in training mode sets both, such that every channel of z has mean 0 and
    variance 1; from then on they are ordinary parameters. `initialised` is saved with them, so that
    this happens once in a model's life.
    """

    initialised: Tensor  # bool []

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        self.b = nn.Parameter(torch.zeros(len(real), 1, 1))
        self.log_s = nn.Parameter(torch.zeros(len(real), 1, 1))
        self.register_buffer("initialised", torch.tensor(False))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set b and log_s by the mean and variance of the real entries of x."""
        entries = (len(x) * self.real.sum(dim=(1, 2), keepdim=True)).clamp(min=1)  # [C, 1, 1]
        mean = x.sum(dim=(0, 2, 3))[:, None, None] / entries
        apart = (x - mean) * self.real
        variance = apart.square().sum(dim=(0, 2, 3))[:, None, None] / entries
        self.b.copy_(-mean)
        self.log_s.copy_(-0.5 * (variance + 1e-6).log())
        if torch.distributed.is_initialized():  # each process has seen images of its own
            for parameter in (self.b, self.log_s):
                torch.distributed.broadcast(parameter, src=0)
        self.initialised.fill_(True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training and not self.initialised:
            self.initialise(x)
        z = (x + self.b) * self.log_s.exp() * self.real
        return z, (self.log_s * self.real).sum().expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return (z * (-self.log_s).exp() - self.b) * self.real


class InvertibleConv(Bijection):
    """z = W x at every pixel, W = P L (U + diag(s)) [C, C] (Glow, section 3.2, equation 10).

    W starts as a random rotation. P and the signs of s are fixed; L (unit lower triangular), U
    (strictly upper) and log |s| are learned, so that log |det W| = sum log |s| costs nothing. A
    pixel of which only some channels are real stays as it is.
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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self.factors()
        with torch.autocast(x.device.type, enabled=False):
            # One factor after the other: their product would cost C^3, whatever the batch.
            z = F.conv2d(F.conv2d(x, upper[:, :, None, None]), lower[:, :, None, None])
        z = torch.where(self.full, z[:, self.order], x)
        return z, (self.full.sum() * self.log_s.sum()).expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        lower, upper = (factor.double() for factor in self.factors())
        p = torch.ones_like(self.log_s).double().diag()[self.order]
        inverse = torch.linalg.solve_triangular(lower, p.T, upper=False)
        inverse = torch.linalg.solve_triangular(upper, inverse, upper=True)  # W^-1, in double
        return torch.where(self.full, F.conv2d(z, inverse.to(z)[:, :, None, None]), z)


class CouplingNetwork(nn.Module):
    """Says from one part of x how to move the other: [B, c_in, H, W] -> [B, c_out, H, W].

    Convolutions of 3 x 3, 1 x 1 and 3 x 3 (Glow, appendix B), or dense layers on a single pixel.
    The last one starts at zero: an untrained coupling moves nothing.

    Args:
        hidden: channels between the convolutions; with 0 there is the last one alone.
    """

    def __init__(self, c_in: int, hidden: int, c_out: int, pixels: int) -> None:
        super().__init__()
        kernel = 3 if pixels > 1 else 1
        before: list[nn.Module] = []
        if hidden > 0:
            first = nn.Conv2d(c_in, hidden, kernel, padding=kernel // 2)
            before = [first, nn.ReLU(True), nn.Conv2d(hidden, hidden, 1), nn.ReLU(True)]
        last = zero(nn.Conv2d(hidden or c_in, c_out, kernel, padding=kernel // 2))
        self.layers = nn.Sequential(*before, last)

    def forward(self, x: Tensor) -> Tensor:
        # With few channels convolutions are faster in this layout. They alone may be in bfloat16.
        out: Tensor = self.layers(x.contiguous(memory_format=torch.channels_last))
        return out.to(x.dtype)


class AffineCoupling(Bijection):
    """z_a = s (x_a + t), z_b = x_b, where (log s, t) are computed from x_b (Glow, table 1).

    b is the first half of the channels and a the second; with `flip` it is the other way round.
    s = sigmoid(s' + 2) as in the authors' code, near 1 at first. s' is what the network says, but
    softly held between -4 and 4, so that no coupling blows an unlikely z up beyond measure.
    """

    def __init__(self, real: Tensor, hidden: int, flip: bool = False) -> None:
        super().__init__(real)
        self.flip = flip
        b, a = self.halves(real)
        self.network = CouplingNetwork(len(b), hidden, 2 * len(a), b[0].numel())

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The parts b, which is kept, and a of x [..., C, H, W]."""
        first, second = x.tensor_split(2, dim=-3)
        return (second, first) if self.flip else (first, second)

    def join(self, b: Tensor, a: Tensor) -> Tensor:
        return torch.cat((a, b) if self.flip else (b, a), dim=1)

    def log_scale(self, s: Tensor) -> Tensor:
        """log s from s'."""
        return F.logsigmoid(s + 2)

    def moves(self, b: Tensor) -> tuple[Tensor, Tensor]:
        """log s and t, zero outside of the image; each of the shape of a."""
        s, t = self.network(b).chunk(2, dim=1)
        _, inside = self.halves(self.real)
        return self.log_scale(4 * (s / 4).tanh()) * inside, t * inside

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        b, a = self.halves(x)
        log_s, t = self.moves(b)
        return self.join(b, (a + t) * log_s.exp()), total(log_s)

    def inverse(self, z: Tensor) -> Tensor:
        b, a = self.halves(z)
        log_s, t = self.moves(b)
        return self.join(b, a * (-log_s).exp() - t)


class GaussianSplit(AffineCoupling):
    """Whitens the half a by its prior given the half b, p(a|b) = N(mu(b), diag(sigma(b)^2)).

    z_a = (x_a - mu) / sigma is then N(0, I), and leaves the flow (Glow, figure 2b). That is a
    coupling with t = -mu and s = 1 / sigma = exp(s'), which need not be smaller than 1, and with a
    single convolution.
    """

    def __init__(self, real: Tensor) -> None:
        super().__init__(real, hidden=0)

    def log_scale(self, s: Tensor) -> Tensor:
        return s


class GaussianPrior(Bijection):
    """Whitens the last z by its prior: a mean and a standard deviation for every entry.

    Glow has one for every channel; but where a digit is in the image isn't arbitrary.
    """

    def __init__(self, real: Tensor) -> None:
        super().__init__(real)
        self.mu = nn.Parameter(torch.zeros(real.shape))
        self.log_sigma = nn.Parameter(torch.zeros(real.shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = (x - self.mu) * (-self.log_sigma).exp() * self.real
        return z, -(self.log_sigma * self.real).sum().expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        return (z * self.log_sigma.exp() + self.mu) * self.real


class MaskedCoupling(Bijection):
    """z = b x + (1 - b) (x exp(s(b x)) + t(b x)), b a mask of zeros and ones (RealNVP, equation 9).

    s is a hyperbolic tangent times a learned scale (RealNVP, section 4.1).

    Args:
        kept: bool [C, H, W], the mask b.
    """

    kept: Tensor

    def __init__(self, real: Tensor, hidden: int, kept: Tensor) -> None:
        super().__init__(real)
        self.register_buffer("kept", kept, persistent=False)
        self.scale = nn.Parameter(torch.ones(len(real), 1, 1))
        self.network = CouplingNetwork(len(real), hidden, 2 * len(real), real[0].numel())

    def moves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """s and t [B, C, H, W], zero where x is kept and outside of the image."""
        s, t = self.network(x * self.kept).chunk(2, dim=1)
        moved = self.real & ~self.kept
        return self.scale * s.tanh() * moved, t * moved

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.moves(x)
        return x * s.exp() + t, total(s)

    def inverse(self, z: Tensor) -> Tensor:
        s, t = self.moves(z)
        return (z - t) * (-s).exp()


class Level(nn.Module):
    """Layers one after the other; then all but the first `kept` channels leave the flow.

    Args:
        layers: bijections, of which the last one yields entries `real`, bool [C, H, W].
    """

    leaving: Tensor  # bool [C - kept, H, W]

    def __init__(self, layers: Sequence[Bijection], real: Tensor, kept: int = 0) -> None:
        super().__init__()
        self.layers, self.kept = nn.ModuleList(layers), kept
        self.register_buffer("leaving", real[kept:], persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x -> what stays [B, kept, H, W], the real entries of what leaves [B, D], logdet [B]."""
        logdet = x.new_zeros(len(x))
        for layer in self.layers:
            x, stretched = layer(x)
            logdet = logdet + stretched
        return x[:, : self.kept], x[:, self.kept :][:, self.leaving], logdet

    def inverse(self, stays: Tensor, leaves: Tensor) -> Tensor:
        """What `forward` was given."""
        rest = leaves.new_zeros(len(leaves), *self.leaving.shape)
        rest[:, self.leaving] = leaves
        x = torch.cat([stays, rest], dim=1)
        for layer in reversed(self.layers):
            x = cast(Bijection, layer).inverse(x)
        return x
