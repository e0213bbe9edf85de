"""A denoising autoencoder (Vincent et al. 2008, doi:10.1145/1390156.1390294).

In training a share of the pixels is set to black, and the whole image has to be restored from its
latent. So the latent holds what is needed to draw the image, and no single pixel decides it.
No model of a study builds on this autoencoder, so none can be tuned to what it sees.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.autoencoder_latent import AutoencoderLatentConfig
from genlab.models.base import Batch, Model
from genlab.nn.layers import group_norm
from genlab.nn.trunk import Trunk

PATCH = 4  # side of the blocks of pixels that the decoder draws


class DenoisingAutoencoder(Model):
    """An encoder of convolutions to z [B, config.latent], and a decoder on a grid of H/4."""

    config: AutoencoderLatentConfig

    def __init__(
        self, config: AutoencoderLatentConfig, shape: tuple[int, int, int], classes: int
    ) -> None:
        super().__init__(config, shape, classes)
        colours, *sides = shape
        c, (rows, columns) = 2 * config.channels, (-(-side // PATCH) for side in sides)
        self.encoder = nn.Sequential(
            Trunk(shape, config.channels, config.hidden),
            nn.Linear(config.hidden, config.latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(config.latent, config.hidden),
            nn.SiLU(),
            nn.Linear(config.hidden, c * rows * columns),
            nn.SiLU(),
            nn.Unflatten(1, (c, rows, columns)),
            nn.Conv2d(c, c, 3, padding=1),
            group_norm(c),
            nn.SiLU(),
            nn.Conv2d(c, PATCH**2 * colours, 3, padding=1),
            nn.PixelShuffle(PATCH),
        ).to(memory_format=torch.channels_last)

    def encode(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> z [B, config.latent]."""
        z: Tensor = self.encoder(images)
        return z

    def decode(self, z: Tensor) -> Tensor:
        """z -> logits of the pixels [B, C, H, W], float32."""
        logits: Tensor = self.decoder(z).float()
        return logits[:, :, : self.shape[1], : self.shape[2]]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy of the pixels in nats, the paper's L_H as a mean, and squared error.

        On held-out images nothing is masked.
        """
        images = batch.images
        share = self.config.masked if self.training else 0.0
        kept = torch.rand(len(images), 1, *self.shape[1:], device=images.device) >= share
        logits = self.decode(self.encode(images * kept))
        with torch.no_grad():
            mse = (logits.sigmoid() - images).square().mean()
        return {"loss": F.binary_cross_entropy_with_logits(logits, images), "mse": mse}
