"""The discrete VAE of DALL-E (Ramesh et al. 2021, arXiv:2102.12092, section 2.1, appendix A.2).

An encoder computes the logits of a categorical q(k|x) over K codes at every position of a grid, and
a decoder turns the codes' vectors e into p(x|e). Training minimises

    -log p(x|e) + beta KL(q(k|x) || uniform)

with the sum over positions of the second term divided by the number of pixels, like the first one.
Drawing a code has no gradient; it is replaced by the Gumbel-softmax (Jang et al. 2017,
arXiv:1611.01144, equation 2), a mixture of all codes with the weights

    y = softmax((log q + g) / tau),   g = -log(-log u),   u ~ U(0, 1)

which for tau -> 0 is a sample of q. During the first part of training beta rises from 0 and tau
falls from 1, both by half a cosine. Outside of training the likeliest codes are used.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genlab.config.families.dvae import DVAEConfig
from genlab.models.base import Batch, ramp
from genlab.models.discrete import DiscreteAutoencoder
from genlab.nn.quantiser import code_counts


def cosine(start: float, end: float, progress: float, share: float) -> float:
    """From `start` to `end` over the first `share` of the training by half a cosine, then `end`."""
    return end + (start - end) * (1 + math.cos(math.pi * ramp(progress, share))) / 2


def gumbel(like: Tensor) -> Tensor:
    """Samples g of the standard Gumbel distribution, in the shape of `like`."""
    return -(-torch.rand_like(like).log()).log()


def gumbel_softmax(logits: Tensor, g: Tensor, tau: float) -> Tensor:
    """The weights y [B, K, h, w] for logits of q and Gumbel noise g, both of that shape."""
    return ((logits + g) / tau).softmax(dim=1)


def kl_to_uniform(logits: Tensor) -> Tensor:
    """KL(q || uniform) = log K - H(q) in nats [B, h, w], for logits of q [B, K, h, w]."""
    log_q = logits.log_softmax(dim=1)
    return math.log(logits.shape[1]) + (log_q.exp() * log_q).sum(dim=1)


class DVAE(DiscreteAutoencoder):
    """A discrete autoencoder whose encoder predicts the probability of each code."""

    config: DVAEConfig

    def __init__(self, config: DVAEConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        self.encoder = self.make_encoder(config.codes)
        self.codebook = nn.Embedding(config.codes, config.latent)
        self.likelihood, self.decoder = self.make_decoder()

    def logits(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> logits of q(k|x), float32 [B, K, h, w]."""
        encoded: Tensor = self.encoder(2 * images - 1)
        return encoded.float()

    def encode_indices(self, images: Tensor) -> Tensor:
        return self.logits(images).argmax(dim=1)

    def lookup(self, indices: Tensor) -> Tensor:
        vectors: Tensor = self.codebook(indices)
        return vectors.movedim(-1, 1)

    def mixture(self, weights: Tensor) -> Tensor:
        """Weights [B, K, h, w] of the codes -> vectors [B, D, h, w]."""
        return torch.einsum("bkhw,kd->bdhw", weights, self.codebook.weight)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective; `distortion` and `kl` in nats per pixel.

        `perplexity` and `used_codes` are those of the likeliest codes of this batch.
        """
        config, logits = self.config, self.logits(batch.images)
        beta = cosine(0.0, config.kl_weight, batch.progress, config.kl_warmup)
        tau = cosine(1.0, config.tau, batch.progress, config.tau_decay)
        indices = logits.argmax(dim=1)
        vectors = (
            self.mixture(gumbel_softmax(logits, gumbel(logits), tau))
            if self.training
            else self.lookup(indices)
        )
        counts = code_counts(indices, config.codes)
        values = self.statistics(batch.images, self.decode(vectors), counts)
        kl = kl_to_uniform(logits).sum(dim=(1, 2)).mean() / math.prod(self.shape)
        loss = values["distortion"] + beta * kl
        return {"loss": loss, **values, "kl": kl, "tau": torch.full_like(kl, tau)}
