"""What convolutional autoencoders share: an encoder to a grid of latents, and p(x|z).

Two likelihoods p(x|z):
    gaussian    N(m, s^2), one learned s for all pixels and images
    logistic    a logistic distribution rounded to the 256 grey values, as in PixelCNN++ (Salimans
                et al. 2017, arXiv:1701.05517, equation 2, one component). The decoder predicts
                location and scale of every pixel, so an even background costs almost no bits.
"""

from __future__ import annotations

import itertools
from typing import ClassVar

import torch
from torch import Tensor, nn

from genlab.config.autoencoders import AutoencoderConfig
from genlab.models.base import Model
from genlab.nn.layers import group_norm, zero
from genlab.nn.likelihoods import Gaussian, Likelihood, PredictedLogistic


def activated(channels: int, local: bool) -> list[nn.Module]:
    """Layers before a convolution; `local` leaves out normalisation, which mixes all positions."""
    return [nn.ReLU()] if local else [group_norm(channels), nn.ReLU()]


class Residual(nn.Module):
    """x [B, C, h, w] plus a branch of two convolutions; the identity at first.

    Args:
        local: the output at a position depends on that position only.
    """

    def __init__(self, channels: int, local: bool = False) -> None:
        super().__init__()
        side = 1 if local else 3
        self.branch = nn.Sequential(
            *activated(channels, local),
            nn.Conv2d(channels, channels, side, padding="same"),
            *activated(channels, local),
            zero(nn.Conv2d(channels, channels, side, padding="same")),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out


class Autoencoder(Model):
    """Strided convolutions down to the grid, residual blocks there, and the mirrored decoder.

    Attributes:
        grid: (h, w), rows and columns of the grid.
        local: whether the encoder's receptive field is that of its strided convolutions, 10 x 10
            pixels with two of them.
    """

    local: ClassVar[bool] = False
    config: AutoencoderConfig
    likelihood: Likelihood
    decoder: nn.Sequential

    def __init__(
        self,
        config: AutoencoderConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Model | None = None,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        self.grid = (shape[1] // 2**config.levels, shape[2] // 2**config.levels)
        # Channels at sides H/2, H/4, ...
        self.widths = [config.channels, *[2 * config.channels] * (config.levels - 1)]

    def make_encoder(self, outputs: int) -> nn.Sequential:
        """Images on [-1, 1] -> [B, outputs, h, w]."""
        c = self.widths[-1]
        down: list[nn.Module] = []
        for outer, inner in itertools.pairwise([self.shape[0], *self.widths]):
            down += [nn.ReLU(), nn.Conv2d(outer, inner, 4, stride=2, padding=1)]
        return nn.Sequential(
            *down[1:],
            *(Residual(c, self.local) for _ in range(self.config.blocks)),
            *activated(c, self.local),
            nn.Conv2d(c, outputs, 1),
        ).to(memory_format=torch.channels_last)  # trains a tenth faster

    def make_decoder(self) -> tuple[Likelihood, nn.Sequential]:
        """p(x|z), and the decoder from z [B, D, h, w] to its parameters."""
        config, c = self.config, self.widths[-1]
        gaussian = config.likelihood == "gaussian"
        likelihood: Likelihood = Gaussian() if gaussian else PredictedLogistic()
        outputs = self.shape[0] if gaussian else 2 * self.shape[0]
        up: list[nn.Module] = []
        for inner, outer in itertools.pairwise(reversed(self.widths)):
            up += [nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1), nn.ReLU()]
        return likelihood, nn.Sequential(
            nn.Conv2d(config.latent, c, 1),
            *(Residual(c) for _ in range(config.blocks)),
            *activated(c, local=False),
            *up,
            # The last doubling computes four outputs a position: faster with so few channels.
            nn.Conv2d(config.channels, 4 * outputs, 3, padding=1),
            nn.PixelShuffle(2),
        ).to(memory_format=torch.channels_last)

    def decode(self, z: Tensor) -> Tensor:
        """z [B, D, h, w] -> parameters of p(x|z), float32, for `likelihood`."""
        decoded: Tensor = self.likelihood.link(self.decoder(z).float())
        return decoded

    def distortion(self, images: Tensor, decoded: Tensor) -> dict[str, Tensor]:
        """`distortion`, -log p(x|z) in nats a pixel, and `mse`, of images on [0, 1]."""
        with torch.no_grad():
            mse = (self.likelihood.mean(decoded) - images).square().mean()
        return {"distortion": -self.likelihood.log_prob(images, decoded).mean(), "mse": mse}
