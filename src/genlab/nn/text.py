"""An encoder of captions: a transformer in which every token attends to the whole text.

A text is a row of tokens, END after the last one and PAD after that (`genlab.data.tokenizer`). PAD
is masked out, so an encoding does not depend on the padded length. Positions are learned (Radford
et al. 2021, arXiv:2103.00020, section 2.4, where the encoder is causal).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlab.data.tokenizer import END, PAD
from genlab.nn.transformer import Transformer


def null_prompt(length: int, device: torch.device | str = "cpu") -> Tensor:
    """The tokens int64 [length] of an empty text: END, then PAD."""
    tokens = torch.full((length,), PAD, device=device)
    tokens[0] = END
    return tokens


class TextEncoder(nn.Module):
    """Tokens int64 [B, L] -> states [B, L, width]; the states at PAD have no meaning.

    Args:
        vocabulary: number of tokens.
        length: largest number of tokens of a text, END included.
        heads: number of attention heads; must divide `width`.
        std: initial standard deviation of embeddings and positions. Small embeddings change
            direction at every step and an EMA of the weights averages them away; a model with an
            EMA needs std 1, as embeddings of labels have.
    """

    def __init__(
        self,
        vocabulary: int,
        length: int,
        width: int,
        layers: int,
        heads: int,
        std: float = 0.02,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embed.weight, std=std)
        self.positions = nn.Parameter(std * torch.randn(length, width))
        self.transformer = Transformer(width, layers, heads, dropout=0.0)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.positions[: tokens.shape[1]]
        states: Tensor = self.transformer(x, mask=tokens != PAD)
        return states
