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
from genlab.nn.trunk import Trunk, patch_decoder


class DenoisingAutoencoder(Model):
    """An encoder of convolutions to z [B, config.latent], and a decoder on a grid of H/4."""

    config: AutoencoderLatentConfig

    def __init__(
        self, config: AutoencoderLatentConfig, shape: tuple[int, int, int], classes: int
    ) -> None:
        super().__init__(config, shape, classes)
        self.encoder = nn.Sequential(
            Trunk(shape, config.channels, config.hidden),
            nn.Linear(config.hidden, config.latent),
        )
        decoder = patch_decoder(config.latent, config.hidden, 2 * config.channels, shape)
        self.decoder = decoder.to(memory_format=torch.channels_last)

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
