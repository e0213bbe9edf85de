"""Normalising flows: Glow (Kingma & Dhariwal 2018, arXiv:1807.03039) and RealNVP (Dinh et al. 2017,
arXiv:1605.08803).

A bijection z = f(x) of images to noise of the same dimension D gives an exact density
(Glow, equations 3 to 7)

    log p(x) = log N(z; 0, I) + log |det dz/dx|

and training maximises it. Images of 8 bits are dequantised, y = (x + u) / 256 with new u ~ U[0, 1)
in every step, so that bits/dim are those of 8-bit images.

    pixels     y on [0, 1) -> logit(m + (1 - 2m) y)    RealNVP, section 4.1; m is `margin`
    level      fold 2 x 2 pixels into channels; K steps of ActNorm, 1x1 convolution, coupling;
               then half of the channels leave the flow, whitened by their prior given the rest
    last       fold all pixels into channels and take some more steps there (`global_steps`)

The channels that left form one vector z in R^D with prior N(0, I): mean and scale of a learned
prior are layers of the flow. RealNVP has couplings with checkerboard masks before the folding, with
channel masks after it, and no 1x1 convolutions; ActNorm replaces its batch normalisation.

An image whose side can't be halved often enough is padded. No layer changes the padding, so f is
still a bijection of R^D, D the values of the image itself, and the density is exact (see
`genlab.nn.flow`).
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families import DensityKind
from genlab.config.families.glow import GlowConfig
from genlab.models.base import Batch, Model
from genlab.models.capabilities import DEFAULT_OPTIONS, DrawOptions
from genlab.nn.coupling import (
    AffineCoupling,
    GaussianSplit,
    MaskedCoupling,
    channel_half,
    checkerboard,
)
from genlab.nn.densities import log_standard_normal
from genlab.nn.flow import (
    ActNorm,
    Bijection,
    FlowLevel,
    Fold,
    GaussianPrior,
    InvertibleConv,
    total,
)
from genlab.processes.noise import SampleNoise


def channel_steps(config: GlowConfig, real: Tensor, steps: int, hidden: int) -> list[Bijection]:
    """Steps of flow whose couplings keep one half of the channels, alternating between halves."""
    layers: list[Bijection] = []
    for k in range(steps):
        layers.append(ActNorm(real))
        if config.coupling == "glow":  # Glow, figure 2a
            layers += [InvertibleConv(real), AffineCoupling(real, hidden, flip=k % 2 == 1)]
        else:  # RealNVP, figure 3, right
            layers.append(MaskedCoupling(real, hidden, channel_half(real, k % 2)))
    return layers


def checkerboard_steps(real: Tensor, steps: int, hidden: int) -> list[Bijection]:
    """Steps of flow whose couplings keep every second pixel (RealNVP, figure 3)."""
    layers: list[Bijection] = []
    for k in range(steps):
        layers += [ActNorm(real), MaskedCoupling(real, hidden, checkerboard(real, k % 2))]
    return layers


class Glow(Model):
    """A flow on several scales, with the couplings of Glow or of RealNVP."""

    def __init__(self, config: GlowConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        self.dimensions = math.prod(shape)
        grid = 2 ** len(config.steps)
        self.padding = (0, -shape[2] % grid, 0, -shape[1] % grid)  # right and below
        real = F.pad(torch.ones(shape, dtype=torch.bool), self.padding)
        levels: list[FlowLevel] = []
        for i, steps in enumerate(config.steps):
            hidden = config.hidden * 2**i
            layers: list[Bijection] = []
            if config.coupling == "realnvp":
                layers += checkerboard_steps(real, steps, hidden)
            layers.append(fold := Fold(real, 2, 2))
            real = fold.fold(real[None])[0]
            layers += channel_steps(config, real, steps, hidden)
            if i < len(config.steps) - 1 or config.global_steps > 0:
                layers.append(split := GaussianSplit(real))
                kept, _ = split.halves(real)
                levels.append(FlowLevel(layers, real, len(kept)))
                real = kept
        if config.global_steps > 0:
            fold = Fold(real, *real.shape[1:])
            real = fold.fold(real[None])[0]
            layers = [fold, *channel_steps(config, real, config.global_steps, config.global_hidden)]
        levels.append(FlowLevel([*layers, GaussianPrior(real)], real))
        self.levels = nn.ModuleList(levels)
        self.sizes = [len(level.leaving) for level in levels]  # their sum is D

    def to_noise(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """y [B, C, H, W] on [0, 1) -> z = f(y) [B, D] and log |det dz/dy| [B]."""
        m = self.config.margin
        if m > 0:
            p = m + (1 - 2 * m) * y
            x = p.logit()
            logdet = total(math.log(1 - 2 * m) - p.log() - (-p).log1p())
        else:
            x, logdet = y - 0.5, y.new_zeros(len(y))
        x = F.pad(x, self.padding)
        left = []
        for level in self.levels:
            x, z, level_logdet = level(x)
            logdet = logdet + level_logdet
            left.append(z)
        return torch.cat(left, dim=1), logdet

    def from_noise(self, z: Tensor) -> Tensor:
        """z [B, D] -> y = f^-1(z) [B, C, H, W], on [0, 1) up to rounding."""
        levels = cast(list[FlowLevel], list(self.levels))
        left = torch.split(z, self.sizes, dim=1)
        x = z.new_zeros(len(z), 0, *levels[-1].shape[1:])
        for level, part in zip(reversed(levels), reversed(left), strict=True):
            x = level.inverse(x, part)
        _, height, width = self.shape
        x, m = x[:, :, :height, :width], self.config.margin
        return (x.sigmoid() - m) / (1 - 2 * m) if m > 0 else x + 0.5

    def log_density(self, pixels: Tensor, kind: DensityKind = "exact", k: int = 1) -> Tensor:
        """log p(y) [B] in nats, exact."""
        z, logdet = self.to_noise(pixels)
        return log_standard_normal(z).sum(dim=1) + logdet

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """-log p(y) in nats per image, and in bits per dimension of 8 bits."""
        x = (255 * batch.images).round()
        nats = -self.log_density((x + torch.rand_like(x)) / 256).mean()
        return {"loss": nats, "bits_per_dim": nats / (self.dimensions * math.log(2)) + 8}

    def generate(self, noise: SampleNoise, options: DrawOptions = DEFAULT_OPTIONS) -> Tensor:
        """f^-1(z) of z ~ N(0, temperature^2 I)."""
        return self.from_latent(options.temperature * noise.normal(self.dimensions))

    def to_latent(self, images: Tensor) -> Tensor:
        """f at the centre of the cell of each 8-bit value, [B, D]."""
        return self.to_noise(((255 * images).round() + 0.5) / 256)[0]

    def from_latent(self, z: Tensor) -> Tensor:
        """The 8-bit values x whose cells [x, x + 1) / 256 contain the pixels f^-1(z)."""
        return (256 * self.from_noise(z)).floor().clamp(0, 255) / 255
