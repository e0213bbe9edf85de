"""A prior over the codes of a VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937, section 3.3).

A transformer over the codes of the first stage only; training, sampling and bits/dim are explained
in `genlab.models.codes`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genlab.models.base import Batch
from genlab.models.capabilities import DEFAULT_OPTIONS, DrawOptions
from genlab.models.codes import CodeModel
from genlab.nn.transformer import Cache
from genlab.processes.noise import SampleNoise


class CodePrior(CodeModel):
    """A transformer over the grid of codes of its first stage."""

    def logits(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """Logits [B, T, K] of the codes at positions, given the token before each, int64 [B, T].

        float32. With a `cache`, the positions follow those in it.
        """
        logits: Tensor = self.head(self.states(tokens, cache)).float()
        return logits

    def code_nats(self, indices: Tensor) -> Tensor:
        codes = indices.flatten(1)
        tokens = F.pad(codes[:, :-1], (1, 0), value=self.begin)
        return F.cross_entropy(self.logits(tokens).transpose(1, 2), codes, reduction="none")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats per code; `code_bits` is its part of the bits/dim."""
        nats = self.code_nats(self.codes_of(batch))
        return {"loss": nats.mean(), "code_bits": self.code_bits(nats)}

    def draw_codes(self, noise: SampleNoise, options: DrawOptions = DEFAULT_OPTIONS) -> Tensor:
        """Draw len(noise) grids of codes, int64 [B, h, w], from p(c); see `complete`."""
        starts = torch.full((1, len(noise), 1), self.begin, device=noise.device)
        return self.complete(starts, noise, options)

    def generate(self, noise: SampleNoise, options: DrawOptions = DEFAULT_OPTIONS) -> Tensor:
        """Draw codes and decode them."""
        return self.decode(self.draw_codes(noise, options))
