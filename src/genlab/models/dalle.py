"""DALL-E's second stage (Ramesh et al. 2021, arXiv:2102.12092, section 2.2).

One causal transformer over the tokens t_1 .. t_L of a caption and then the codes c_1 .. c_n of its
image, row by row,

    log p(t, c) = sum_i log p(t_i | t_1 .. t_{i-1}) + sum_i log p(c_i | t, c_1 .. c_{i-1})

A place of the text holds words alone and a place of the image codes alone. A softmax over both
vocabularies with the other one masked is a softmax over its own, so each has a head of its own and
what is masked has probability 0 without being computed. With cross entropies as means over tokens,
training minimises (text + w image) / (1 + w), w = 7 in the paper.

After END a text holds PAD, which could be nothing else: it isn't counted. As an input PAD adds to
the position's own vector, so that what stands there is learned for every position, as in the paper.

Now and then a caption is left away: END stands at its first place. Sampling then has both the
logits with a caption and without,

    logits = without + guidance (with - without)

(classifier-free guidance, Ho & Salimans 2022, arXiv:2207.12598, of logits in place of scores).
bits/dim are those of images without a caption; `genlab.models.codes` says which bound they are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.families.dalle import DALLEConfig
from genlab.data.tokenizer import PAD
from genlab.models.base import Batch, Words
from genlab.models.codes import CodeModel
from genlab.models.discrete import DiscreteAutoencoder
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

    def places(self) -> Tensor:
        return torch.cat([self.text_positions, super().places()])

    def without(self, images: int) -> Tensor:
        """The tokens of no caption, for so many images, int64 [B, L]."""
        return null_prompt(self.length, self.head.weight.device).expand(images, -1)

    def logits(self, tokens: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Captions int64 [B, L] and codes int64 [B, h, w] -> logits of each given those before it.

        float32, of words [B, L, V] and of codes [B, h w, K].
        """
        before = torch.cat([tokens, self.vocabulary + indices.flatten(1)[:, :-1]], dim=1)
        states = self.states(F.pad(before, (1, 0), value=self.begin))
        text: Tensor = self.text_head(states[:, : self.length]).float()
        image: Tensor = self.head(states[:, self.length :]).float()
        return text, image

    def nats(self, tokens: Tensor, indices: Tensor) -> tuple[Tensor, Tensor]:
        """-log p of every word [B, L], 0 where it is PAD, and of every code [B, h w]."""
        text, image = self.logits(tokens, indices)
        of_words = F.cross_entropy(text.transpose(1, 2), tokens, reduction="none", ignore_index=PAD)
        of_codes = F.cross_entropy(image.transpose(1, 2), indices.flatten(1), reduction="none")
        return of_words, of_codes

    def code_nats(self, indices: Tensor) -> Tensor:
        """As of an image without a caption."""
        return self.nats(self.without(len(indices)), indices)[1]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The objective; `text` in nats a word, `image` in nats a code given the caption.

        `code_bits` is the share of the codes in bits/dim, if the caption is given.
        """
        indices, tokens, weight = self.codes_of(batch), batch.tokens, self.config.image_weight
        assert tokens is not None  # it reads captions
        if self.training:
            left_away = torch.rand(len(tokens), device=tokens.device) < self.config.caption_dropout
            tokens = torch.where(left_away[:, None], self.without(1), tokens)
        of_words, of_codes = self.nats(tokens, indices)
        text, image = of_words.sum() / (tokens != PAD).sum(), of_codes.mean()
        return {
            "loss": (text + weight * image) / (1 + weight),
            "text": text,
            "image": image,
            "code_bits": self.code_bits(of_codes),
        }

    def draw_codes(
        self,
        noise: SampleNoise,
        tokens: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """len(noise) grids of codes, int64 [B, h, w], for captions [B, L]; see `complete`.

        Args:
            tokens: None draws images without a caption.
            guidance: 1 takes the caption as it is, more exaggerates it, 0 doesn't ask for it.
        """
        captions = [self.without(len(noise))]
        if tokens is not None and guidance != 0:
            captions = [tokens] if guidance == 1 else [*captions, tokens]
        starts = F.pad(torch.stack(captions), (1, 0), value=self.begin)
        return self.complete(starts, noise, temperature, top_k, top_p, guidance)

    def generate(
        self,
        noise: SampleNoise,
        tokens: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """Decode codes drawn for captions."""
        return self.decoded(self.draw_codes(noise, tokens, temperature, top_k, top_p, guidance))
