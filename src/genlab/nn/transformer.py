"""The transformer: causal as a decoder, with a mask for padding as an encoder.

The layout is that of GPT-2 (Radford et al. 2019): normalisation before each branch, residual
branches added to the stream. The last weights of each branch start at zero, so each block is the
identity at first.

Generation appends one position at a time. Keys and values of earlier positions do not change; a
`Cache` stores them, so that a step computes one position instead of all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlab.nn.layers import attend, zero


class Cache:
    """Keys and values of the positions so far, for every block [2, B, heads, T, C/heads].

    The buffers have spare capacity: copying all keys for each new position would dominate the cost.
    """

    def __init__(self) -> None:
        self.buffers: list[Tensor] = []
        self.lengths: list[int] = []

    def __len__(self) -> int:
        return self.lengths[0] if self.lengths else 0

    def extended(self, block: int, new: Tensor) -> Tensor:
        """Append the `new` positions [2, B, heads, T', C/heads] of a block; return all of it."""
        if block == len(self.buffers):
            self.buffers.append(new)
            self.lengths.append(0)
        past = self.lengths[block]
        buffer, length = self.buffers[block], past + new.shape[-2]
        if length > buffer.shape[-2]:  # double the capacity, so that copies are rare
            buffer = new.new_empty(*new.shape[:-2], 2 * length, new.shape[-1])
            buffer[..., :past, :] = self.buffers[block][..., :past, :]
        buffer[..., past:length, :] = new
        self.buffers[block], self.lengths[block] = buffer, length
        return buffer[..., :length, :]


class SelfAttention(nn.Module):
    """x [B, T, C] -> [B, T, C]; position i attends to positions 0..i, cached ones first.

    With `mask`, bool [B, T], every position attends to all positions where it is True instead.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = zero(nn.Linear(width, width))

    def forward(
        self, x: Tensor, block: int, cache: Cache | None, mask: Tensor | None = None
    ) -> Tensor:
        b, t, c = x.shape
        # Separate slices: the backward pass of one transposition of all three makes more copies.
        q, k, v = (
            part.reshape(b, t, self.heads, c // self.heads).transpose(1, 2)
            for part in self.qkv(x).chunk(3, dim=-1)
        )  # [B, heads, T, C/heads]
        if cache is not None:
            k, v = cache.extended(block, torch.stack([k, v]))
        key_mask = None if mask is None else mask[:, None, None]  # [B, 1, 1, T]
        attended = attend(q, k, v, key_mask, causal=mask is None)
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
        self, x: Tensor, block: int, cache: Cache | None, mask: Tensor | None = None
    ) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x), block, cache, mask))
        out: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return out


class Transformer(nn.Module):
    """Embedded positions x [B, T, C] -> states [B, T, C], normalised.

    Args:
        heads: number of attention heads; must divide `width`.
        dropout: dropout rate of the embeddings and of each branch.
    """

    def __init__(self, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, cache: Cache | None = None, mask: Tensor | None = None) -> Tensor:
        """Compute the states of x [B, T, C].

        Args:
            cache: earlier positions; x follows them and is appended.
            mask: bool [B, T], the positions that every position attends to; None is causal.
        """
        x = self.dropout(x)
        for i, block in enumerate(self.blocks):
            x = block(x, i, cache, mask)
        out: Tensor = self.norm(x)
        return out


class GridPositions(nn.Module):
    """Learned position embeddings of a grid, row by row: one of the row plus one of the column."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(0.02 * torch.randn(height, 1, channels))
        self.columns = nn.Parameter(0.02 * torch.randn(1, width, channels))

    def forward(self) -> Tensor:
        """[height * width, channels]."""
        return (self.rows + self.columns).flatten(0, 1)


def keep_likeliest(logits: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Set all logits [B, K] but those of the likeliest tokens to -inf.

    Args:
        top_k: largest number of tokens to keep; None keeps all. Of equal ones the first are kept.
        top_p: of those, keep the smallest set whose probability is at least this share (Holtzman et
            al. 2020, arXiv:1904.09751, equation 2); None keeps all.
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
    """Draw tokens int64 [B] from softmax(logits [B, K]) with u [B] of U[0, 1).

    Inverts the cumulative distribution: the first token at which it exceeds u.
    """
    cumulative = logits.double().softmax(dim=-1).cumsum(dim=-1)
    cumulative = cumulative / cumulative[:, -1:]  # ends at exactly 1, above every u
    return torch.searchsorted(cumulative, u.double()[:, None], right=True)[:, 0]
