"""A second stage: what models of a discrete autoencoder's codes share.

The frozen first stage turns an image into codes c_1 .. c_n, row by row. A causal transformer
learns their distribution one after the other,

    log p(c) = sum_i log p(c_i | c_1 .. c_{i-1})

by cross entropy, given what stands before them. The codes of all training images are found once,
before the first step. Drawing c_1 .. c_n from it and decoding them makes images.

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
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.config.discrete import CodeModelConfig
from genlab.config.families import Likelihood
from genlab.models.base import Batch, Model
from genlab.models.batches import in_parts
from genlab.models.discrete import DiscreteAutoencoder
from genlab.nn.likelihoods import grey_values
from genlab.nn.transformer import Cache, GridPositions, Transformer, draw_token, likeliest
from genlab.processes.noise import SampleNoise


class CodeModel(Model):
    """A causal transformer over words, of which there may be none, and then a grid of codes.

    The input at a place is the token before it, at the first place a token of its own that begins
    the sequence; the position that is added is that of the token to predict. Tokens are numbered
    words first, then codes, then the one that begins.

    Args:
        words: how many different ones there are.
    """

    first_stage: DiscreteAutoencoder
    known: Tensor | None = None
    """The codes of all training images, int32 [N, h, w], while it is trained."""

    def __init__(
        self,
        config: CodeModelConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: DiscreteAutoencoder,
        words: int = 0,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        codes, grid = first_stage.config.codes, first_stage.grid
        self.evaluations = math.prod(grid)
        self.vocabulary = words
        self.begin = words + codes  # the number of the token that begins the sequence
        self.embed = nn.Embedding(words + codes + 1, config.width)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.positions = GridPositions(*grid, config.width)
        self.transformer = Transformer(config.width, config.layers, config.heads, config.dropout)
        self.head = nn.Linear(config.width, codes)

    def places(self) -> Tensor:
        """The positions of all places of a sequence, [T, width]."""
        positions: Tensor = self.positions()
        return positions

    def states(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """Tokens int64 [B, T] that stand before places -> what is known there, [B, T, width].

        With a `cache`, the places go on from those in it.
        """
        past = 0 if cache is None else len(cache)
        places = self.places()[past : past + tokens.shape[1]]
        states: Tensor = self.transformer(self.embed(tokens) + places, cache)
        return states

    def code_nats(self, indices: Tensor) -> Tensor:
        """-log p(c_i | c_1 .. c_{i-1}) of codes int64 [B, h, w], in nats [B, h w]."""
        raise NotImplementedError

    @torch.no_grad()
    def measure(self, images: NDArray[np.uint8]) -> None:
        """Encode the training images once and for all, since the first stage is frozen."""
        parts = in_parts(images, self.head.weight.device)
        self.known = torch.cat([self.codes(part).int() for part in parts])

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> codes int64 [B, h, w], those of a float32 encoder.

        Sampling and bits/dim know no others.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self.first_stage.encode_indices(images)

    def codes_of(self, batch: Batch) -> Tensor:
        """The codes int64 [B, h, w] of a batch, looked up where they are known."""
        if self.known is None or batch.indices is None:
            return self.codes(batch.images)
        return self.known[batch.indices].long()

    def code_bits(self, nats: Tensor) -> Tensor:
        """The share that codes of `nats` [B, h w] have in the bits/dim."""
        return nats.sum(dim=1).mean() / (math.prod(self.shape) * math.log(2))

    def complete(
        self,
        starts: Tensor,
        noise: SampleNoise,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        guidance: float = 1.0,
    ) -> Tensor:
        """Draw codes int64 [B, h, w] after what stands before them.

        Args:
            starts: int64 [S, B, T], tokens. With S = 2 the first ones are those to be guided away
                from and the second ones those to be guided to.
            temperature: logits are divided by it.
            top_k, top_p: which tokens to leave out, see `likeliest`.
            guidance: w of logits = away + w (to - away).
        """
        # In float64: float32 logits depend on the batch by their last bits, which may tip a draw.
        exact = copy.deepcopy(self).double()
        height, width = self.first_stage.grid
        u = noise.uniform(height * width)
        cache, tokens, codes = Cache(), starts.flatten(0, 1), []
        for i in range(height * width):
            state = exact.states(tokens, cache)[:, -1]  # [S B, width]
            each = exact.head(state).unflatten(0, starts.shape[:2])  # [S, B, K]
            logits = each[0] + guidance * (each[-1] - each[0])
            codes.append(draw_token(likeliest(logits / temperature, top_k, top_p), u[:, i]))
            tokens = (self.vocabulary + codes[-1]).repeat(len(starts))[:, None]
        return torch.stack(codes, dim=1).reshape(-1, height, width)

    def decoded(self, indices: Tensor) -> Tensor:
        """The mean of p(x|c) of codes int64 [B, h, w], images [B, C, H, W]."""
        return self.first_stage.likelihood.mean(self.first_stage.decode_indices(indices))

    def log_density(self, pixels: Tensor, kind: Likelihood, k: int) -> Tensor:
        """The bound log p(c(x)) + log p(y|c(x)), in nats [B]; `pixels` y as in HasLikelihood."""
        indices = self.first_stage.encode_indices(grey_values(pixels))
        return self.first_stage.log_p(pixels, indices) - self.code_nats(indices).sum(dim=1)
