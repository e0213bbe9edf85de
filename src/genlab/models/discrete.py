"""What discrete autoencoders share: an encoder to a grid of K codes, and p(x|e) of their vectors.

Two likelihoods p(x|e):
    gaussian    N(m, s^2), one learned s for all pixels and images
    logistic    a logistic distribution rounded to the 256 grey values, as in PixelCNN++ (Salimans
                et al. 2017, arXiv:1701.05517, equation 2, one component), where the decoder says
                location and scale of every pixel: a certain background costs next to no bits

There is no distribution of codes here, and so neither samples nor bits/dim: see
`genlab.models.codes`.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from genlab.config.discrete import DiscreteConfig
from genlab.models.base import Model
from genlab.nn.likelihoods import Gaussian, Likelihood, PredictedLogistic, grey_values
from genlab.nn.quantiser import perplexity
from genlab.nn.unet import group_norm, zero


class Residual(nn.Module):
    """x [B, C, h, w] and a branch of two convolutions added; the identity at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            group_norm(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            group_norm(channels),
            nn.ReLU(),
            zero(nn.Conv2d(channels, channels, 3, padding=1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out


class DiscreteAutoencoder(Model):
    """Strided convolutions down to the grid of codes, residual blocks there, and the way back.

    Attributes:
        grid: (h, w), the rows and columns of codes of an image.
    """

    encoder: nn.Sequential
    likelihood: Likelihood
    decoder: nn.Sequential

    def __init__(self, config: DiscreteConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
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
            *(Residual(c) for _ in range(self.config.blocks)),
            group_norm(c),
            nn.ReLU(),
            nn.Conv2d(c, outputs, 1),
        )

    def make_decoder(self) -> tuple[Likelihood, nn.Sequential]:
        """p(x|e), and what makes its parameters of vectors e [B, D, h, w]."""
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
            group_norm(c),
            nn.ReLU(),
            *up,
            # The last doubling gives four outputs a place: quicker, where channels are this few
            nn.Conv2d(config.channels, 4 * outputs, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def encode_indices(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> which codes they become, int64 [B, h, w]."""
        raise NotImplementedError

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> their vectors e [B, D, h, w]."""
        raise NotImplementedError

    def decode(self, vectors: Tensor) -> Tensor:
        """Vectors of codes [B, D, h, w] -> parameters of p(x|e), float32, as `likelihood` reads."""
        decoded: Tensor = self.likelihood.link(self.decoder(vectors).float())
        return decoded

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> parameters of p(x|e), as `decode`."""
        return self.decode(self.lookup(indices))

    def measured(self, images: Tensor, decoded: Tensor, usage: Tensor) -> dict[str, Tensor]:
        """What every autoencoder logs of images whose codes were used `usage` [K] times.

        `distortion` is -log p(x|e) in nats a pixel.
        """
        distortion = -self.likelihood.log_prob(images, decoded).mean()
        with torch.no_grad():
            mse = (self.likelihood.mean(decoded) - images).square().mean()
        return {
            "distortion": distortion,
            "mse": mse,
            "perplexity": perplexity(usage),
            "used_codes": (usage > 0).sum().float(),
        }

    def reconstruct(self, images: Tensor) -> Tensor:
        """The mean of p(x|e) of the image's codes."""
        return self.likelihood.mean(self.decode_indices(self.encode_indices(images)))

    def log_p(self, pixels: Tensor, indices: Tensor) -> Tensor:
        """log p(y|e) in nats [B] of dequantised y [B, C, H, W] on [0, 1), given codes [B, h, w].

        A Gaussian is a density of y as it stands; a probability of grey values is spread evenly
        over the y within each, log p(y) = log P(x) + D log 256.
        """
        decoded = self.decode_indices(indices)
        if not self.likelihood.discrete:
            return self.likelihood.log_prob(pixels, decoded).sum(dim=(1, 2, 3))
        log_p = self.likelihood.log_prob(grey_values(pixels), decoded).sum(dim=(1, 2, 3))
        return log_p + math.prod(self.shape) * math.log(256)
