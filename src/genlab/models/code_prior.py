"""A prior over the codes of a VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937, section 3.3).

The frozen first stage turns an image into codes c_1 .. c_n, row by row. A causal transformer
learns their distribution one after the other,

    log p(c) = sum_i log p(c_i | c_1 .. c_{i-1})

by cross entropy. The codes of all training images are found once, before the first step. Drawing
c_1 .. c_n from it and decoding them makes images.

Likelihood: q(c|x) is a point mass on the encoder's codes, whose entropy is zero, so that

    log p(x) >= log p(c(x)) + log p(x|c(x))

is the evidence lower bound. Other codes that explain x as well are left out of it: it is loose by
-log p(c(x)|x).
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.config.families import Likelihood
from genlab.config.families.code_prior import CodePriorConfig
from genlab.models.base import Batch, Model
from genlab.models.batches import to_float
from genlab.models.vqvae import VQVAE
from genlab.nn.likelihoods import grey_values
from genlab.nn.transformer import Cache, GridPositions, Transformer, draw_token
from genlab.processes.noise import SampleNoise

ENCODED = 500  # images at a time, before the training


class CodePrior(Model):
    """A transformer over the grid of codes of its first stage.

    The input at place i is the code before it, at the first place a token of its own that begins
    the sequence; the position that is added is that of the code to predict.
    """

    first_stage: VQVAE
    known: Tensor | None = None
    """The codes of all training images, int32 [N, h, w], while it is trained."""

    def __init__(
        self,
        config: CodePriorConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: VQVAE,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        codes, grid = first_stage.config.codes, first_stage.grid
        self.evaluations = math.prod(grid)
        self.begin = codes  # the number of the token that begins the sequence
        self.embed = nn.Embedding(codes + 1, config.width)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.positions = GridPositions(*grid, config.width)
        self.transformer = Transformer(config.width, config.layers, config.heads, config.dropout)
        self.head = nn.Linear(config.width, codes)

    def logits(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """Tokens int64 [B, T] that stand before places -> logits of the codes there, [B, T, K].

        float32. With a `cache`, the places go on from those in it.
        """
        past = 0 if cache is None else len(cache)
        positions = self.positions()[past : past + tokens.shape[1]]
        x = self.transformer(self.embed(tokens) + positions, cache)
        logits: Tensor = self.head(x).float()
        return logits

    def code_nats(self, indices: Tensor) -> Tensor:
        """-log p(c_i | c_1 .. c_{i-1}) of codes int64 [B, h, w], in nats [B, h w]."""
        codes = indices.flatten(1)
        tokens = F.pad(codes[:, :-1], (1, 0), value=self.begin)
        return F.cross_entropy(self.logits(tokens).transpose(1, 2), codes, reduction="none")

    @torch.no_grad()
    def measure(self, images: NDArray[np.uint8]) -> None:
        """Encode the training images once and for all, since the first stage is frozen."""
        device = self.head.weight.device
        found = []
        for start in range(0, len(images), ENCODED):
            pixels = torch.from_numpy(np.array(images[start : start + ENCODED])).to(device)
            found.append(self.codes(to_float(pixels)).int())
        self.known = torch.cat(found)

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> codes int64 [B, h, w], those of a float32 encoder.

        Sampling and bits/dim know no others.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self.first_stage.encode_indices(images)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats a code; `code_bits` is its share of the bits/dim."""
        if self.known is None or batch.indices is None:
            codes = self.codes(batch.images)
        else:
            codes = self.known[batch.indices].long()
        nats = self.code_nats(codes)
        bits = nats.sum(dim=1).mean() / (math.prod(self.shape) * math.log(2))
        return {"loss": nats.mean(), "code_bits": bits}

    def draw_codes(self, noise: SampleNoise, temperature: float = 1.0) -> Tensor:
        """len(noise) grids of codes, int64 [B, h, w], from p(c); logits / temperature."""
        # In float64: float32 logits depend on the batch by their last bits, which may tip a draw.
        exact = copy.deepcopy(self).double()
        height, width = self.first_stage.grid
        u = noise.uniform(height * width)
        cache, tokens = Cache(), torch.full_like(u[:, :1], self.begin, dtype=torch.int64)
        for i in range(height * width):
            logits = exact.logits(tokens[:, i:], cache)[:, 0]
            code = draw_token(logits / temperature, u[:, i])
            tokens = torch.cat([tokens, code[:, None]], dim=1)
        return tokens[:, 1:].reshape(-1, height, width)

    def generate(self, noise: SampleNoise, temperature: float = 1.0) -> Tensor:
        """Decode drawn codes: the mean of p(x|c)."""
        first = self.first_stage
        return first.likelihood.mean(first.decode_indices(self.draw_codes(noise, temperature)))

    def log_density(self, pixels: Tensor, kind: Likelihood, k: int) -> Tensor:
        """The bound log p(c(x)) + log p(y|c(x)), in nats [B]; `pixels` y as in HasLikelihood."""
        indices = self.first_stage.encode_indices(grey_values(pixels))
        return self.first_stage.log_p(pixels, indices) - self.code_nats(indices).sum(dim=1)
