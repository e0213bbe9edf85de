"""The text encoder: what a token sees, and what it doesn't."""

from __future__ import annotations

import math

import pytest
import torch
from oracles import awake

from genlab.data.tokenizer import END, PAD
from genlab.nn.text import TextEncoder, null_prompt
from genlab.nn.transformer import SelfAttention

TEXT = [5, 7, 3, END]


def encoder() -> TextEncoder:
    return awake(TextEncoder(vocabulary=9, length=7, width=8, layers=2, heads=2))


@torch.no_grad()
def test_padding_changes_nothing() -> None:
    """A text in a row just as long as it is, and in longer ones, beside a longer text."""
    encode = encoder()
    alone = encode(torch.tensor([TEXT]))
    assert alone.shape == (1, 4, 8)
    for pads in (1, 3):
        rows = torch.tensor([TEXT + pads * [PAD], [2] * (3 + pads) + [END]])
        # Sums of ten float32 numbers of size 1, in another order
        torch.testing.assert_close(encode(rows)[:1, :4], alone, rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("j", range(4))
def test_every_token_sees_every_other_and_their_order(j: int) -> None:
    """Token j changed, or set in another place: all states change."""
    encode, rows = encoder(), torch.tensor([[*TEXT, PAD]])
    changed = rows.clone()
    changed[0, j] = 8
    before, after = encode(rows), encode(changed)
    assert bool(((before - after).abs() > 1e-4)[0, :4].any(dim=1).all())
    swapped = rows[:, [1, 0, 2, 3, 4]]
    assert float((encode(swapped)[0, 2:4] - before[0, 2:4]).abs().max()) > 1e-4


@torch.no_grad()
def test_attention_is_softmax_over_what_is_heard_written_by_hand() -> None:
    """For every head and position i, softmax over the j that are heard of q_i k_j / sqrt(d)."""
    attention, x = awake(SelfAttention(8, 2)), torch.randn(2, 5, 8)
    mask = torch.tensor([[True, True, True, False, False], [True, False, True, True, True]])
    q, k, v = (part.unflatten(2, (2, 4)) for part in attention.qkv(x).chunk(3, dim=2))
    weights = torch.einsum("bihd,bjhd->bhij", q, k) / math.sqrt(4)
    weights = weights.exp() * mask[:, None, None]
    weights = weights / weights.sum(dim=3, keepdim=True)
    expected = attention.out(torch.einsum("bhij,bjhd->bihd", weights, v).flatten(2))
    # Sums of about ten float32 numbers of size 1, in another order
    torch.testing.assert_close(attention(x, 0, None, mask), expected, rtol=1e-5, atol=1e-5)


def test_no_text_is_an_end_at_once() -> None:
    assert null_prompt(4).tolist() == [END, PAD, PAD, PAD]
    assert null_prompt(4).dtype == torch.int64
