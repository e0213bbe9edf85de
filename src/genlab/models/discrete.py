"""What discrete autoencoders share: an encoder to a grid of K codes, and p(x|e) of their vectors.

The encoder is `local`: a code describes its own part of the image only. With a larger receptive
field, plain background would get dozens of different codes, which a model of the codes would have
to learn although they are unpredictable.

There is no distribution of codes here, and so neither samples nor bits/dim: see
`genlab.models.codes`.
"""

from __future__ import annotations

from torch import Tensor

from genlab.config.discrete import DiscreteConfig
from genlab.models.autoencoder import Autoencoder
from genlab.nn.densities import dequantised, grey_values
from genlab.nn.quantiser import perplexity


class DiscreteAutoencoder(Autoencoder):
    """An autoencoder with a code at each position of its grid."""

    local = True
    config: DiscreteConfig

    def encode_indices(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> codes int64 [B, h, w]."""
        raise NotImplementedError

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> their vectors e [B, D, h, w]."""
        raise NotImplementedError

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> parameters of p(x|e), as `decode`."""
        return self.decode(self.lookup(indices))

    def statistics(self, images: Tensor, decoded: Tensor, counts: Tensor) -> dict[str, Tensor]:
        """`distortion`, `mse`, and statistics of codes that are used `counts` [K] times."""
        return {
            **self.distortion(images, decoded),
            "perplexity": perplexity(counts),
            "used_codes": (counts > 0).sum().float(),
        }

    def reconstruct(self, images: Tensor) -> Tensor:
        """The mean of p(x|e) of the image's codes."""
        return self.likelihood.mean(self.decode_indices(self.encode_indices(images)))

    def log_p(self, pixels: Tensor, indices: Tensor) -> Tensor:
        """log p(y|e) in nats [B] of dequantised y [B, C, H, W] on [0, 1), given codes [B, h, w].

        A Gaussian p(x|e) is a density and evaluated at y; a probability of grey values is spread
        evenly over each bin.
        """
        decoded = self.decode_indices(indices)
        if not self.likelihood.discrete:
            return self.likelihood.log_prob(pixels, decoded).sum(dim=(1, 2, 3))
        log_p = self.likelihood.log_prob(grey_values(pixels), decoded).sum(dim=(1, 2, 3))
        return dequantised(log_p, self.shape)
