"""A second stage: what models of a discrete autoencoder's codes share.

The frozen first stage turns an image into codes c_1 .. c_n, row by row. A causal transformer
learns the distribution of each code given those before it,

    log p(c) = sum_i log p(c_i | c_1 .. c_{i-1})

by cross entropy. The training images are encoded once, before the first step. To sample,
c_1 .. c_n are drawn and decoded.

Likelihood: q(c|x) is a point mass on the encoder's codes and has zero entropy, so that

    log p(x) >= log p(c(x)) + log p(x|c(x))

is the evidence lower bound. The gap is -log p(c(x)|x): the bound leaves out other codes that
explain x.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.config.discrete import CodeModelConfig
from genlab.config.families import DensityKind
from genlab.models.base import Batch, Model
from genlab.models.batches import in_parts
from genlab.models.capabilities import DEFAULT_OPTIONS, DrawOptions
from genlab.models.discrete import DiscreteAutoencoder
from genlab.nn.densities import grey_values
from genlab.nn.transformer import Cache, GridPositions, Transformer, draw_token, keep_likeliest
from genlab.processes.noise import SampleNoise


class CodeModel(Model):
    """A causal transformer over the words of a caption, if there are any, and a grid of codes.

    The input at a position is the previous token, at the first position a begin token; the position
    embedding is that of the token to predict. Tokens are numbered words first, then codes, then the
    begin token.

    Args:
        words: size of the vocabulary of captions; 0 without captions.

    Attributes:
        training_codes: codes of all training images, int32 [N, h, w], during training.
    """

    first_stage: DiscreteAutoencoder
    training_codes: Tensor | None = None

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
        self.begin = words + codes  # the begin token
        self.embed = nn.Embedding(words + codes + 1, config.width)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.positions = GridPositions(*grid, config.width)
        self.transformer = Transformer(config.width, config.layers, config.heads, config.dropout)
        self.head = nn.Linear(config.width, codes)

    def all_positions(self) -> Tensor:
        """Position embeddings of a whole sequence, [T, width]."""
        positions: Tensor = self.positions()
        return positions

    def states(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """States [B, T, width] of positions, given the token before each, int64 [B, T].

        With a `cache`, the positions follow those in it.
        """
        past = 0 if cache is None else len(cache)
        positions = self.all_positions()[past : past + tokens.shape[1]]
        states: Tensor = self.transformer(self.embed(tokens) + positions, cache)
        return states

    def code_nats(self, indices: Tensor) -> Tensor:
        """-log p(c_i | c_1 .. c_{i-1}) of codes int64 [B, h, w], in nats [B, h w]."""
        raise NotImplementedError

    @torch.no_grad()
    def measure(self, images: NDArray[np.uint8]) -> None:
        """Encode the training images once; the first stage is frozen."""
        parts = in_parts(images, self.head.weight.device)
        self.training_codes = torch.cat([self.codes(part).int() for part in parts])

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> codes int64 [B, h, w], encoded in float32.

        Sampling and bits/dim use these codes as well.
        """
        with torch.autocast(images.device.type, enabled=False):
            return self.first_stage.encode_indices(images)

    def codes_of(self, batch: Batch) -> Tensor:
        """Codes int64 [B, h, w] of a batch, looked up where they were computed before."""
        if self.training_codes is None or batch.indices is None:
            return self.codes(batch.images)
        return self.training_codes[batch.indices].long()

    def code_bits(self, nats: Tensor) -> Tensor:
        """The part of the bits/dim that comes from codes of `nats` [B, h w]."""
        return nats.sum(dim=1).mean() / (math.prod(self.shape) * math.log(2))

    def complete(
        self,
        starts: Tensor,
        noise: SampleNoise,
        options: DrawOptions = DEFAULT_OPTIONS,
    ) -> Tensor:
        """Draw codes int64 [B, h, w] that follow the tokens `starts`.

        Args:
            starts: int64 [S, B, T]. With S = 2 the first tokens are the unconditional ones and the
                second the conditional ones of logits = without + guidance (with - without).
            options: temperature, top_k, top_p and guidance.
        """
        # In float64: the last bits of float32 logits depend on the batch and could change a draw.
        exact = copy.deepcopy(self).double()
        height, width = self.first_stage.grid
        u = noise.uniform(height * width)
        cache, tokens, codes = Cache(), starts.flatten(0, 1), []
        for i in range(height * width):
            state = exact.states(tokens, cache)[:, -1]  # [S B, width]
            each = exact.head(state).unflatten(0, starts.shape[:2])  # [S, B, K]
            logits = each[0] + options.guidance * (each[-1] - each[0])
            logits = keep_likeliest(logits / options.temperature, options.top_k, options.top_p)
            codes.append(draw_token(logits, u[:, i]))
            tokens = (self.vocabulary + codes[-1]).repeat(len(starts))[:, None]
        return torch.stack(codes, dim=1).reshape(-1, height, width)

    def decode(self, indices: Tensor) -> Tensor:
        """The mean of p(x|c) for codes int64 [B, h, w]: images [B, C, H, W]."""
        return self.first_stage.likelihood.mean(self.first_stage.decode_indices(indices))

    def log_density(self, pixels: Tensor, kind: DensityKind, k: int) -> Tensor:
        """The bound log p(c(x)) + log p(y|c(x)), in nats [B]; `pixels` y as in HasLikelihood."""
        indices = self.first_stage.encode_indices(grey_values(pixels))
        return self.first_stage.log_p(pixels, indices) - self.code_nats(indices).sum(dim=1)
