"""DALL-E's second stage (Ramesh et al. 2021, arXiv:2102.12092, section 2.2).

One causal transformer over the tokens t_1 .. t_L of a caption and then the codes c_1 .. c_n of its
image, row by row,

    log p(t, c) = sum_i log p(t_i | t_1 .. t_{i-1}) + sum_i log p(c_i | t, c_1 .. c_{i-1})

Text positions hold only words and image positions only codes. A softmax over both vocabularies with
the other one masked is a softmax over one vocabulary, so each vocabulary has its own head. With
cross entropies as means over tokens, training minimises (text + w image) / (1 + w), w = 7 in the
paper.

After END a text holds only PAD, which is left out of the loss. As an input PAD is added to the
position's embedding, so a padding embedding is learned for every position, as in the paper.

With probability `caption_dropout` a caption is replaced by the empty one, END at its first
position. So sampling can combine the logits with a caption and without,

    logits = without + guidance (with - without)

(classifier-free guidance, Ho & Salimans 2022, arXiv:2207.12598, of logits instead of scores).
bits/dim are those of images without a caption; the bound is explained in `genlab.models.codes`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.dalle import DALLEConfig
from genlab.data.tokenizer import PAD
from genlab.models.base import Batch, Words
from genlab.models.capabilities import DEFAULT_OPTIONS, DrawOptions
from genlab.models.codes import CodeModel
from genlab.models.discrete import DiscreteAutoencoder
from genlab.nn.collectives import mean_over_processes
from genlab.nn.text import null_prompt
from genlab.processes.noise import SampleNoise


class DALLE(CodeModel):
    """A transformer over a caption and then the grid of codes of its first stage."""

    def __init__(
        self,
        config: DALLEConfig,
        shape: tuple[int, int, int],
        classes: int,
        words: Words,
        first_stage: DiscreteAutoencoder,
    ) -> None:
        super().__init__(config, shape, classes, first_stage, words.vocabulary)
        self.length = words.length
        self.text_positions = nn.Parameter(0.02 * torch.randn(words.length, config.width))
        self.text_head = nn.Linear(config.width, words.vocabulary)

    def all_positions(self) -> Tensor:
        return torch.cat([self.text_positions, super().all_positions()])

    def empty_captions(self, n: int) -> Tensor:
        """The tokens of n empty captions, int64 [n, L]."""
        return null_prompt(self.length, self.head.weight.device).expand(n, -1)

    def logits(self, tokens: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of each word and code given those before it, float32 [B, L, V] and [B, h w, K].

        Args:
            tokens: captions int64 [B, L].
            indices: codes int64 [B, h, w].
        """
        inputs = torch.cat([tokens, self.vocabulary + indices.flatten(1)[:, :-1]], dim=1)
        states = self.states(F.pad(inputs, (1, 0), value=self.begin))
        text: Tensor = self.text_head(states[:, : self.length]).float()
        image: Tensor = self.head(states[:, self.length :]).float()
        return text, image

    def nats(self, tokens: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """-log p of every word [B, L], 0 at PAD, and of every code [B, h w]."""
        text, image = self.logits(tokens, indices)
        words = F.cross_entropy(text.transpose(1, 2), tokens, reduction="none", ignore_index=PAD)
        codes = F.cross_entropy(image.transpose(1, 2), indices.flatten(1), reduction="none")
        return words, codes

    def code_nats(self, indices: Tensor) -> Tensor:
        """-log p of codes of images without a caption, [B, h w]."""
        return self.nats(self.empty_captions(len(indices)), indices)[1]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective; `text` in nats per word, `image` in nats per code given the caption.

        `code_bits` is the part of the codes in bits/dim, given the caption.
        """
        indices, tokens, weight = self.codes_of(batch), batch.tokens, self.config.image_weight
        assert tokens is not None  # reads_captions
        if self.training:
            dropped = torch.rand(len(tokens), device=tokens.device) < self.config.caption_dropout
            tokens = torch.where(dropped[:, None], self.empty_captions(1), tokens)
        word_nats, code_nats = self.nats(tokens, indices)
        words = (tokens != PAD).sum()
        if self.training:
            words = mean_over_processes(words.float())
        text, image = word_nats.sum() / words, code_nats.mean()
        return {
            "loss": (text + weight * image) / (1 + weight),
            "text": text,
            "image": image,
            "code_bits": self.code_bits(code_nats),
        }

    def draw_codes(self, noise: SampleNoise, options: DrawOptions = DEFAULT_OPTIONS) -> Tensor:
        """Draw len(noise) grids of codes, int64 [B, h, w], for captions; see `complete`."""
        captions = [self.empty_captions(len(noise))]
        if options.tokens is not None and options.guidance != 0:
            conditional = options.tokens
            captions = [conditional] if options.guidance == 1 else [*captions, conditional]
        starts = F.pad(torch.stack(captions), (1, 0), value=self.begin)
        return self.complete(starts, noise, options)

    def generate(self, noise: SampleNoise, options: DrawOptions = DEFAULT_OPTIONS) -> Tensor:
        """Draw codes for captions and decode them."""
        return self.decode(self.draw_codes(noise, options))
