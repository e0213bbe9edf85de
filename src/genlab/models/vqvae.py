"""The vector-quantised autoencoder (van den Oord et al. 2017, VQ-VAE, arXiv:1711.00937).

An encoder turns an image into a grid of vectors z, each is replaced by the nearest code e of a
codebook, and a decoder turns the codes into p(x|e). Training minimises (equation 3)

    -log p(x|e) + |sg(z) - e|^2 + commitment |z - sg(e)|^2

where sg stops gradients, and the gradient with respect to e is copied to z. The middle term is not
in `loss`: the codebook is updated by moving averages (`genlab.nn.quantiser`). The other two are
means, over pixels and over the numbers in z, so their balance does not depend on sizes.
"""

from __future__ import annotations

from torch import Tensor

from genlab.config.families.vqvae import VQVAEConfig
from genlab.models.base import Batch
from genlab.models.discrete import DiscreteAutoencoder
from genlab.nn.quantiser import Quantised, Quantiser


class VQVAE(DiscreteAutoencoder):
    """A discrete autoencoder whose encoder's vectors are replaced by the nearest codes."""

    config: VQVAEConfig

    def __init__(self, config: VQVAEConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        self.encoder = self.make_encoder(config.latent)
        self.quantiser = Quantiser(config.codes, config.latent, config.decay, config.restart_below)
        self.likelihood, self.decoder = self.make_decoder()

    def quantise(self, images: Tensor, epoch: int = 0) -> Quantised:
        """Quantise images [B, C, H, W] on [0, 1]; in training, update the codebook."""
        quantised: Quantised = self.quantiser(self.encoder(2 * images - 1), epoch)
        return quantised

    def encode_indices(self, images: Tensor) -> Tensor:
        return self.quantise(images).indices

    def lookup(self, indices: Tensor) -> Tensor:
        return self.quantiser.lookup(indices)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective and its parts.

        `perplexity` and `used_codes` are those of the last complete epoch, in the first epoch those
        so far, and outside of training those of this batch.
        """
        vectors, indices, commitment = self.quantise(batch.images, batch.epoch)
        counts = self.quantiser.reported_counts(indices)
        values = self.statistics(batch.images, self.decode(vectors), counts)
        loss = values["distortion"] + self.config.commitment * commitment
        return {"loss": loss, **values, "commitment": commitment}
