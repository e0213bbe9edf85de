"""Couplings: one part of an image is unchanged and determines scale and shift of the other part.

Glow's couplings keep half of the channels (Kingma & Dhariwal 2018, arXiv:1807.03039), RealNVP's the
pixels of a fixed mask (Dinh et al. 2017, arXiv:1605.08803). The Jacobian is triangular: its
log-determinant is the sum of the log-scales.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.nn.flow import Bijection, total


def checkerboard(real: Tensor, parity: int) -> Tensor:
    """bool [C, H, W]: every second pixel, those whose row + column is even with parity 0."""
    _, height, width = real.shape
    return ((torch.arange(height)[:, None] + torch.arange(width) + parity) % 2 == 0).expand_as(real)


def channel_half(real: Tensor, parity: int) -> Tensor:
    """bool [C, H, W]: the first half of the channels with parity 0, the second with 1."""
    first = torch.arange(len(real)) < (len(real) + 1) // 2
    return (first if parity == 0 else ~first)[:, None, None].expand_as(real)


class CouplingNetwork(nn.Module):
    """Computes log-scales and shifts from one part of x: [B, c_in, H, W] -> [B, c_out, H, W].

    Convolutions of 3 x 3, 1 x 1 and 3 x 3 (Glow, appendix B), or dense layers on a single pixel.
    The last one starts at zero: an untrained coupling is the identity.

    Args:
        hidden: channels between the convolutions; 0 leaves only the last one.
    """

    def __init__(self, c_in: int, hidden: int, c_out: int, pixels: int) -> None:
        super().__init__()
        self.single = pixels == 1

        def layer(inputs: int, outputs: int, kernel: int) -> nn.Linear | nn.Conv2d:
            if self.single:
                return nn.Linear(inputs, outputs)
            return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)

        before: list[nn.Module] = []
        if hidden > 0:
            before = [
                layer(c_in, hidden, 3),
                nn.ReLU(True),
                layer(hidden, hidden, 1),
                nn.ReLU(True),
            ]
        last = layer(hidden or c_in, c_out, 3)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(cast(Tensor, last.bias))
        self.layers = nn.Sequential(*before, last)

    def forward(self, x: Tensor) -> Tensor:
        # With few channels convolutions are faster in this layout; only they may run in bfloat16.
        inputs = x.flatten(1) if self.single else x.contiguous(memory_format=torch.channels_last)
        out: Tensor = self.layers(inputs)
        return (out[:, :, None, None] if self.single else out).to(x.dtype)


class AffineCoupling(Bijection):
    """z_a = s (x_a + t), z_b = x_b, where (log s, t) are computed from x_b.

    That is the authors' code of Glow; its table 1 adds the shift after scaling. b is the first half
    of the channels and a the second; `flip` exchanges them. s = sigmoid(s' + 2) as in that code,
    near 1 at first. s' is the network's output, softly limited to -4..4, so that no coupling scales
    an unlikely z without bound.
    """

    def __init__(self, real: Tensor, hidden: int, flip: bool = False) -> None:
        super().__init__(real)
        self.flip = flip
        b, a = self.halves(real)
        self.network = CouplingNetwork(len(b), hidden, 2 * len(a), b[0].numel())

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The unchanged part b and the part a of x [..., C, H, W]."""
        first, second = x.tensor_split(2, dim=-3)
        return (second, first) if self.flip else (first, second)

    def join(self, b: Tensor, a: Tensor) -> Tensor:
        return torch.cat((a, b) if self.flip else (b, a), dim=1)

    def log_scale(self, s: Tensor) -> Tensor:
        """log s from s'."""
        return F.logsigmoid(s + 2)

    def scale_and_shift(self, b: Tensor) -> tuple[Tensor, Tensor]:
        """log s and t, zero outside of the image; each of the shape of a."""
        s, t = self.network(b).chunk(2, dim=1)
        _, inside = self.halves(self.real)
        return self.log_scale(4 * (s / 4).tanh()) * inside, t * inside

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        b, a = self.halves(x)
        log_s, t = self.scale_and_shift(b)
        return self.join(b, (a + t) * log_s.exp()), total(log_s)

    def inverse(self, z: Tensor) -> Tensor:
        b, a = self.halves(z)
        log_s, t = self.scale_and_shift(b)
        return self.join(b, a * (-log_s).exp() - t)


class GaussianSplit(AffineCoupling):
    """Whitens the half a by its prior given the half b, p(a|b) = N(mu(b), diag(sigma(b)^2)).

    z_a = (x_a - mu) / sigma is then N(0, I), and leaves the flow (Glow, figure 2b). It is a
    coupling with t = -mu and s = 1 / sigma = exp(s'), which may exceed 1, and a single convolution.
    """

    def __init__(self, real: Tensor) -> None:
        super().__init__(real, hidden=0)

    def log_scale(self, s: Tensor) -> Tensor:
        return s


class MaskedCoupling(Bijection):
    """z = b x + (1 - b) (x exp(s(b x)) + t(b x)), b a mask of zeros and ones (RealNVP, equation 9).

    s is a hyperbolic tangent times a learned scale (RealNVP, section 4.1).

    Args:
        mask: bool [C, H, W], the mask b.
    """

    mask: Tensor
    moving: Tensor

    def __init__(self, real: Tensor, hidden: int, mask: Tensor) -> None:
        super().__init__(real)
        self.register_buffer("mask", mask.float(), persistent=False)
        self.register_buffer("moving", (real & ~mask).float(), persistent=False)
        self.scale = nn.Parameter(torch.ones(len(real), 1, 1))
        self.network = CouplingNetwork(len(real), hidden, 2 * len(real), real[0].numel())

    def scale_and_shift(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """s and t [B, C, H, W], zero where x is unchanged and outside of the image."""
        s, t = self.network(x * self.mask).chunk(2, dim=1)
        return self.scale * s.tanh() * self.moving, t * self.moving

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.scale_and_shift(x)
        return x * s.exp() + t, total(s)

    def inverse(self, z: Tensor) -> Tensor:
        s, t = self.scale_and_shift(z)
        return (z - t) * (-s).exp()
