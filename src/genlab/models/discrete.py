"""What discrete autoencoders share: an encoder to a grid of K codes, and p(x|e) of their vectors.

Each code is chosen by a `local` encoder: it says what lies in its place and nothing of the rest.
Were codes chosen with an eye on the whole image, plain ground would have dozens of them, which a
model of the codes would have to learn and could only guess.

There is no distribution of codes here, and so neither samples nor bits/dim: see
`genlab.models.codes`.
"""

from __future__ import annotations

import math

from torch import Tensor

from genlab.config.discrete import DiscreteConfig
from genlab.models.autoencoder import Autoencoder
from genlab.nn.likelihoods import grey_values
from genlab.nn.quantiser import perplexity


class DiscreteAutoencoder(Autoencoder):
    """An autoencoder with a code at each place of its grid."""

    local = True
    config: DiscreteConfig

    def encode_indices(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> which codes they become, int64 [B, h, w]."""
        raise NotImplementedError

    def lookup(self, indices: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> their vectors e [B, D, h, w]."""
        raise NotImplementedError

    def decode_indices(self, indices: Tensor) -> Tensor:
        """Codes int64 [B, h, w] -> parameters of p(x|e), as `decode`."""
        return self.decode(self.lookup(indices))

    def measured(self, images: Tensor, decoded: Tensor, usage: Tensor) -> dict[str, Tensor]:
        """`distortion`, and the state of codes that were used `usage` [K] times."""
        return {
            **self.distortion(images, decoded),
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
