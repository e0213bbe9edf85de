"""An encoder of captions: a transformer in which every token sees the whole text.

A text is a row of tokens, END after the last one and PAD after that (`genlab.data.tokenizer`). PAD
is neither heard nor of any account: a text means the same in a row of any length. Positions are
learned (Radford et al. 2021, arXiv:2103.00020, section 2.4, where the encoder is a causal one).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlab.data.tokenizer import END, PAD
from genlab.nn.transformer import Transformer


def null_prompt(length: int, device: torch.device | str = "cpu") -> Tensor:
    """The tokens int64 [length] of no text: END, then PAD."""
    tokens = torch.full((length,), PAD, device=device)
    tokens[0] = END
    return tokens


class TextEncoder(nn.Module):
    """Tokens int64 [B, L] -> a state of each, [B, L, width]; what stands at PAD says nothing.

    Args:
        vocabulary: how many tokens there are.
        length: the most tokens of a text, END included.
        heads: of the attention, a divisor of `width`.
        spread: standard deviation of embeddings and positions at first. What is small
            turns about with every step of training; beside a network whose weights are averaged it
            should be as large as labels are, 1.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int,
        layers: int,
        heads: int,
        spread: float = 0.02,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embed.weight, std=spread)
        self.positions = nn.Parameter(spread * torch.randn(length, width))
        self.transformer = Transformer(width, layers, heads, dropout=0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.positions[: tokens.shape[1]]
        states: Tensor = self.transformer(x, heard=tokens != PAD)
        return states
