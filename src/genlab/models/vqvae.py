"""The vector-quantised autoencoder (van den Oord et al. 2017, VQ-VAE, arXiv:1711.00937).

An encoder turns an image into a grid of vectors z, each of them is replaced by the nearest code e
of a codebook, and a decoder turns those into p(x|e). Training minimises (equation 3)

    -log p(x|e) + |sg(z) - e|^2 + commitment |z - sg(e)|^2

where sg stops gradients, and the gradient with respect to e is handed to z unchanged. The middle
term is not in `loss`: the codebook follows z by moving averages (`genlab.nn.quantiser`). The two
others are means, over pixels and over the numbers in z, so that no size shifts their balance.

Two likelihoods p(x|e):
    gaussian    N(m, s^2), one learned s for all pixels and images
    logistic    a logistic distribution rounded to the 256 grey values, as in PixelCNN++ (Salimans
                et al. 2017, arXiv:1701.05517, equation 2, one component), where the decoder says
                location and scale of every pixel: a certain background costs next to no bits

There is no distribution of codes here, and so neither samples nor bits/dim: see
`genlab.models.code_prior`.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn

from genlab.config.families.vqvae import VQVAEConfig
from genlab.models.base import Batch, Model
from genlab.nn.likelihoods import Gaussian, Likelihood, PredictedLogistic, grey_values
from genlab.nn.quantiser import Quantised, Quantiser, perplexity
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


class VQVAE(Model):
    """Strided convolutions down to the grid of codes, residual blocks there, and the way back.

    Attributes:
        grid: (h, w), the rows and columns of codes of an image.
        quantiser: the codebook.
    """

    def __init__(self, config: VQVAEConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        channels, height, width = shape
        self.grid = (height // 2**config.levels, width // 2**config.levels)
        # Channels at sides H/2, H/4, ...
        widths = [config.channels, *[2 * config.channels] * (config.levels - 1)]
        c = widths[-1]

        down: list[nn.Module] = []
        for outer, inner in itertools.pairwise([channels, *widths]):
            down += [nn.ReLU(), nn.Conv2d(outer, inner, 4, stride=2, padding=1)]
        self.encoder = nn.Sequential(
            *down[1:],
            *(Residual(c) for _ in range(config.blocks)),
            group_norm(c),
            nn.ReLU(),
            nn.Conv2d(c, config.latent, 1),
        )
        self.quantiser = Quantiser(config.codes, config.latent, config.decay, config.restart_below)
        gaussian = config.likelihood == "gaussian"
        self.likelihood: Likelihood = Gaussian() if gaussian else PredictedLogistic()
        outputs = channels if gaussian else 2 * channels
        up: list[nn.Module] = []
        for inner, outer in itertools.pairwise(reversed(widths)):
            up += [nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1), nn.ReLU()]
        self.decoder = nn.Sequential(
            nn.Conv2d(config.latent, c, 1),
            *(Residual(c) for _ in range(config.blocks)),
            group_norm(c),
            nn.ReLU(),
            *up,
            # The last doubling gives four outputs a place: quicker, where channels are this few
            nn.Conv2d(config.channels, 4 * outputs, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def quantise(self, images: Tensor, epoch: int = 0) -> Quantised:
        """images [B, C, H, W] on [0, 1] -> their codes; in training the codebook learns them."""
        quantised: Quantised = self.quantiser(self.encoder(2 * images - 1), epoch)
        return quantised

    def encode_indices(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> which codes they become, int64 [B, h, w]."""
        return self.quantise(images).indices

    def decode(self, vectors: Tensor) -> Tensor:
        """Vectors of codes [B, D, h, w] -> parameters of p(x|e), float32, as `likelihood` reads."""
        decoded: Tensor = self.likelihood.link(self.decoder(vectors).float())
        return decoded

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> parameters of p(x|e), as `decode`."""
        return self.decode(self.quantiser.lookup(indices))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective; `distortion` is -log p(x|e) in nats a pixel.

        `perplexity` and `used_codes` are those of the last complete epoch; before there is one,
        of this epoch so far, and outside of training of this batch.
        """
        vectors, indices, commitment = self.quantise(batch.images, batch.epoch)
        decoded = self.decode(vectors)
        distortion = -self.likelihood.log_prob(batch.images, decoded).mean()
        usage = self.quantiser.usage(indices)
        with torch.no_grad():
            mse = (self.likelihood.mean(decoded) - batch.images).square().mean()
        return {
            "loss": distortion + self.config.commitment * commitment,
            "distortion": distortion,
            "mse": mse,
            "commitment": commitment,
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
