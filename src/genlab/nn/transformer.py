"""The transformer. As a decoder, every position sees itself and those before it; as an encoder, all
positions that say something.

The layout is that of GPT-2 (Radford et al. 2019): normalisation before each branch, residual
branches added to the stream. The branches end in weights of zero, so that each block is the
identity at first.

Generation appends one position at a time. Keys and values of the positions before don't change
then; a `Cache` keeps them, and a step costs one position instead of all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlab.nn.attention import attend
from genlab.nn.unet import zero


class Cache:
    """Keys and values of the positions so far, for every block [2, B, heads, T, C/heads].

    They lie in room for more: to copy them all for each position would cost more than the rest.
    """

    def __init__(self) -> None:
        self.rooms: list[Tensor] = []
        self.lengths: list[int] = []

    def __len__(self) -> int:
        return self.lengths[0] if self.lengths else 0

    def extended(self, block: int, new: Tensor) -> Tensor:
        """Keep the `new` positions [2, B, heads, T', C/heads] of a block; returns all of its."""
        if block == len(self.rooms):
            self.rooms.append(new)
            self.lengths.append(0)
        past = self.lengths[block]
        room, length = self.rooms[block], past + new.shape[-2]
        if length > room.shape[-2]:  # twice as much, so that this is done seldom
            room = new.new_empty(*new.shape[:-2], 2 * length, new.shape[-1])
            room[..., :past, :] = self.rooms[block][..., :past, :]
        room[..., past:length, :] = new
        self.rooms[block], self.lengths[block] = room, length
        return room[..., :length, :]


class SelfAttention(nn.Module):
    """x [B, T, C] -> [B, T, C]; position i attends to positions 0..i, cached ones first.

    With `heard`, bool [B, T], every position attends to those that it marks, before and after.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = zero(nn.Linear(width, width))

    def forward(
        self, x: Tensor, block: int, cache: Cache | None, heard: Tensor | None = None
    ) -> Tensor:
        b, t, c = x.shape
        # A slice each: backward through one transposition of all three there are more copies.
        q, k, v = (
            part.reshape(b, t, self.heads, c // self.heads).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )  # [B, heads, T, C/heads]
        if cache is not None:
            k, v = cache.extended(block, torch.stack([k, v]))
        mask = None if heard is None else heard[:, None, None]  # [B, 1, 1, T]
        attended = attend(q, k, v, mask, causal=heard is None)
        out: Tensor = self.out(attended.transpose(1, 2).reshape(b, t, c))
        return out


class Block(nn.Module):
    """Attention, then a layer of four times the width, both added to the stream."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), zero(nn.Linear(4 * width, width))
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, block: int, cache: Cache | None, heard: Tensor | None = None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), block, cache, heard))
        out: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return out


class Transformer(nn.Module):
    """Embedded positions x [B, T, C] -> [B, T, C], normalised; what is embedded is the caller's.

    Args:
        heads: of the attention, a divisor of `width`.
        dropout: of the embeddings and of each branch.
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, cache: Cache | None = None, heard: Tensor | None = None) -> Tensor:
        """With a `cache`, x are the positions after those in it, which it then holds as well.

        With `heard`, bool [B, T], every position sees those that it marks, and no others.
        """
        x = self.dropout(x)
        for i, block in enumerate(self.blocks):
            x = block(x, i, cache, heard)
        out: Tensor = self.norm(x)
        return out


class GridPositions(nn.Module):
    """A learned vector for every place of a grid, read row by row: its row's plus its column's."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(0.02 * torch.randn(height, 1, channels))
        self.columns = nn.Parameter(0.02 * torch.randn(1, width, channels))

    def forward(self) -> Tensor:
        """[height * width, channels]."""
        return (self.rows + self.columns).flatten(0, 1)


def likeliest(logits: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Logits [B, K] with -inf in place of all but the likeliest tokens.

    Args:
        top_k: how many to keep at most; None keeps all. Of equal ones the first are kept.
        top_p: of those, keep the fewest that together have at least this share of the probability
            (Holtzman et al. 2020, arXiv:1904.09751, equation 2); None keeps all.
    """
    if top_k is None and top_p is None:
        return logits
    ordered, tokens = logits.sort(dim=-1, descending=True, stable=True)
    if top_k is not None:
        ordered[:, top_k:] = -torch.inf
    if top_p is not None:
        p = ordered.softmax(dim=-1)
        ordered = ordered.masked_fill(p.cumsum(dim=-1) - p >= top_p, -torch.inf)
    return torch.empty_like(logits).scatter(-1, tokens, ordered)


def draw_token(logits: Tensor, u: Tensor) -> Tensor:
    """The token that u [B] of U[0, 1) stands for under softmax(logits [B, K]), int64 [B].

    The inverse of the cumulative distribution: the first token at which it exceeds u.
    """
    cumulative = logits.double().softmax(dim=-1).cumsum(dim=-1)
    cumulative = cumulative / cumulative[:, -1:]  # ends at 1 exactly, and so above any u
    return torch.searchsorted(cumulative, u.double()[:, None], right=True)[:, 0]
