"""The transformer: what a position may see, its parts against formulas, and its cache."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import awake

from genlab.nn.transformer import (
    Block,
    Cache,
    GridPositions,
    SelfAttention,
    Transformer,
    draw_token,
    keep_likeliest,
)


def test_an_untrained_block_is_the_identity() -> None:
    x = torch.randn(2, 5, 8)
    assert torch.equal(Block(8, heads=2, dropout=0.0)(x, 0, None), x)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_causal_softmax_attention_written_by_hand(heads: int) -> None:
    """For every head and position i, softmax over j <= i of q_i k_j / sqrt(d), times v_j."""
    c, t, d = 8, 5, 8 // heads
    attention = awake(SelfAttention(c, heads))
    x = torch.randn(2, t, c)
    q, k, v = attention.qkv(x).chunk(3, dim=2)
    attended = torch.zeros(2, t, c)
    for b in range(2):
        for head in range(heads):
            own = slice(head * d, (head + 1) * d)
            for i in range(t):
                weights = [
                    math.exp(float(q[b, i, own] @ k[b, j, own]) / math.sqrt(d))
                    for j in range(i + 1)
                ]
                for j, weight in enumerate(weights):
                    attended[b, i, own] += weight / sum(weights) * v[b, j, own]
    # Sums of about ten float32 numbers of size 1, in another order
    torch.testing.assert_close(attention(x, 0, None), attention.out(attended), rtol=1e-5, atol=1e-5)


@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    length=st.integers(2, 9),
    heads=st.sampled_from([1, 2, 4]),
    layers=st.integers(1, 3),
    data=st.data(),
)
@torch.no_grad()
def test_no_position_sees_a_later_one(
    batch: int, length: int, heads: int, layers: int, data: st.DataObject
) -> None:
    """Position j changed: those before it keep every bit, those from it on don't."""
    transformer = awake(Transformer(8, layers, heads, dropout=0.5))
    j = data.draw(st.integers(1, length - 1))
    x = torch.randn(batch, length, 8)
    other = x.clone()
    other[:, j] += torch.randn(batch, 8)
    before, after = transformer(x), transformer(other)
    assert before.shape == x.shape
    assert torch.equal(before[:, :j], after[:, :j])
    assert not torch.isclose(before[:, j:], after[:, j:], atol=1e-6).all(dim=(0, 2)).any()


@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    cuts=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    layers=st.integers(1, 3),
)
@torch.no_grad()
def test_in_pieces_with_a_cache_it_says_what_it_says_in_one(
    batch: int, cuts: list[int], layers: int
) -> None:
    """Pieces of any lengths: one position at a time, or a prompt first."""
    transformer = awake(Transformer(8, layers, heads=2, dropout=0.5))
    x, cache = torch.randn(batch, sum(cuts), 8), Cache()
    pieces = []
    for piece in x.split(cuts, dim=1):
        pieces.append(transformer(piece, cache))
        assert len(cache) == sum(part.shape[1] for part in pieces)
    # Normalised outputs of size 1, summed in another order
    torch.testing.assert_close(torch.cat(pieces, dim=1), transformer(x), rtol=1e-4, atol=1e-4)


def test_a_position_in_the_grid_is_its_row_plus_its_column() -> None:
    positions = awake(GridPositions(2, 3, 4))
    expected = [positions.rows[y, 0] + positions.columns[0, x] for y in range(2) for x in range(3)]
    assert torch.equal(positions(), torch.stack(expected))


@given(
    weights=st.lists(st.integers(0, 9), min_size=2, max_size=6).filter(any),
    u=st.floats(0, 1, exclude_max=True, width=32),
)
def test_a_token_is_the_inverse_of_the_distribution(weights: list[int], u: float) -> None:
    """The least k with P(0) + .. + P(k) > u, and never one of probability zero."""
    logits = torch.tensor([weights], dtype=torch.float64).log()
    k = int(draw_token(logits, torch.tensor([u]))[0])
    p = [w / sum(weights) for w in weights]
    assert p[k] > 0
    # float64 sums: u within 1e-12 of an edge may fall to either side of it
    assert sum(p[:k]) <= u + 1e-12 and sum(p[: k + 1]) > u - 1e-12


def test_tokens_come_as_often_as_they_should() -> None:
    """Even u on a grid: each token's share is its probability to within one grid step."""
    logits = torch.randn(5)
    u = (torch.arange(1000) + 0.5) / 1000
    samples = draw_token(logits.expand(1000, 5), u).bincount(minlength=5) / 1000
    torch.testing.assert_close(samples, logits.softmax(dim=0), rtol=0, atol=1e-3)


@given(
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=7),
    top_k=st.none() | st.integers(1, 8),
    top_p=st.none() | st.floats(0.01, 1),
)
def test_the_likeliest_tokens_are_those_of_a_search(
    weights: list[int], top_k: int | None, top_p: float | None
) -> None:
    """One token after the other in falling order, first ones first, until there are enough."""
    logits = torch.tensor([weights, weights[::-1]], dtype=torch.float64).log()
    for row, filtered in zip(logits, keep_likeliest(logits, top_k, top_p), strict=True):
        order = sorted(range(len(row)), key=lambda k: (-float(row[k]), k))[:top_k]
        total, held, kept = sum(float(row[k].exp()) for k in order), 0.0, set()
        for k in order:
            # float64 sums: a share reached to within 1e-12 may count as reached or not
            assume(top_p is None or abs(held / total - top_p) > 1e-12 or top_p == 1)
            if top_p is None or held / total < top_p:
                kept.add(k)
            held += float(row[k].exp())
        assert {k for k in range(len(row)) if float(filtered[k]) > -math.inf} == kept
        assert all(float(filtered[k]) == float(row[k]) for k in kept)


def test_a_token_left_out_is_never_drawn() -> None:
    """Whatever u is, up to the last number below 1."""
    logits = keep_likeliest(torch.tensor([[0.0, 3.0, 1.0, 2.0]]), top_k=2, top_p=None)
    u = torch.cat([torch.linspace(0, 1, 1000)[:-1], torch.tensor([1 - 2**-24])])
    samples = draw_token(logits.expand(len(u), -1), u)
    assert set(samples.tolist()) == {1, 3}
