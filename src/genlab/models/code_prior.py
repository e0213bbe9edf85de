"""A prior over the codes of a VQ-VAE (van den Oord et al. 2017, arXiv:1711.00937, section 3.3).

A transformer over the codes of the first stage and nothing else; `genlab.models.codes` says how it
is trained, drawn from, and what its bits/dim are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genlab.models.base import Batch
from genlab.models.codes import CodeModel
from genlab.nn.transformer import Cache
from genlab.processes.noise import SampleNoise


class CodePrior(CodeModel):
    """A transformer over the grid of codes of its first stage."""

    def logits(self, tokens: Tensor, cache: Cache | None = None) -> Tensor:
        """Tokens int64 [B, T] that stand before places -> logits of the codes there, [B, T, K].

        float32. With a `cache`, the places go on from those in it.
        """
        logits: Tensor = self.head(self.states(tokens, cache)).float()
        return logits

    def code_nats(self, indices: Tensor) -> Tensor:
        codes = indices.flatten(1)
        tokens = F.pad(codes[:, :-1], (1, 0), value=self.begin)
        return F.cross_entropy(self.logits(tokens).transpose(1, 2), codes, reduction="none")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross entropy in nats a code; `code_bits` is its share of the bits/dim."""
        nats = self.code_nats(self.codes_of(batch))
        return {"loss": nats.mean(), "code_bits": self.code_bits(nats)}

    def draw_codes(
        self,
        noise: SampleNoise,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """len(noise) grids of codes, int64 [B, h, w], from p(c); see `complete`."""
        starts = torch.full((1, len(noise), 1), self.begin, device=noise.device)
        return self.complete(starts, noise, temperature, top_k, top_p)

    def generate(
        self,
        noise: SampleNoise,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Tensor:
        """Decode drawn codes."""
        return self.decoded(self.draw_codes(noise, temperature, top_k, top_p))
