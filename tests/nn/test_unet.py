"""The U-Net: what it says untrained, its parts against formulas, and the shapes it takes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import awake
from torch import Tensor, nn

from genlab.config.networks import UNetConfig
from genlab.nn.layers import group_norm, sinusoidal_embedding
from genlab.nn.unet import Attention, CrossAttention, ResidualBlock, Texts, UNet

SMALL = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), head_channels=8)


@pytest.mark.parametrize("patch", [1, 2])
def test_untrained_it_predicts_exactly_zero(patch: int) -> None:
    network = UNet(3, SMALL.model_copy(update={"patch": patch}))
    x = torch.randn(2, 3, 8, 8)
    out = network(x, torch.tensor([0.0, 999.0]))
    assert torch.equal(out, torch.zeros_like(x))


@pytest.mark.parametrize("c_out", [8, 12])
def test_untrained_residual_block_is_its_skip(c_out: int) -> None:
    """The identity, or where the channels change the 1x1 convolution, whatever the embedding."""
    block = ResidualBlock(8, c_out, embedding=16, dropout=0.5)
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x, torch.randn(2, 16)), block.skip(x))
    assert c_out != 8 or torch.equal(block.skip(x), x)


def test_residual_block_is_its_formula() -> None:
    """h = conv2(silu(norm2(conv1(silu(norm1(x))) + W e))), added to the skip."""
    block = awake(ResidualBlock(8, 12, embedding=16, dropout=0.5))
    x, e = torch.randn(2, 8, 4, 4), torch.randn(2, 16)
    silu = nn.SiLU()
    h = block.conv1(silu(block.norm1(x)))
    h = h + (e @ block.embed.weight.T + block.embed.bias).reshape(2, 12, 1, 1)
    h = block.conv2(silu(block.norm2(h)))
    # Sums of about 100 float32 numbers of size 1, in another order
    torch.testing.assert_close(block(x, e), block.skip(x) + h, rtol=1e-5, atol=1e-5)


def test_untrained_attention_is_the_identity() -> None:
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(Attention(8, head_channels=4)(x), x)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_softmax_attention_written_by_hand(heads: int) -> None:
    """For every head, softmax(q k^T / sqrt(d)) v over positions, position by position."""
    c, side = 8, 3
    attention = awake(Attention(c, head_channels=c // heads))
    assert attention.heads == heads
    x = torch.randn(2, c, side, side)
    tokens = attention.norm(x).flatten(2).transpose(1, 2)  # [B, H*W, C]
    q, k, v = attention.qkv(tokens).transpose(1, 2).chunk(3, dim=1)  # each [B, C, H*W]
    attended = torch.zeros(2, c, side * side)
    d = c // heads
    for b in range(2):
        for head in range(heads):
            own = slice(head * d, (head + 1) * d)
            for i in range(side * side):
                weights = [
                    math.exp(float(q[b, own, i] @ k[b, own, j]) / math.sqrt(d))
                    for j in range(side * side)
                ]
                for j, weight in enumerate(weights):
                    attended[b, own, i] += weight / sum(weights) * v[b, own, j]
    update = attention.out(attended.transpose(1, 2)).transpose(1, 2)  # [B, C, H*W]
    expected = x + update.reshape(2, c, side, side)
    # Sums of about ten float32 numbers of size 1, in another order
    torch.testing.assert_close(attention(x), expected, rtol=1e-5, atol=1e-5)


def test_attention_ignores_where_positions_are() -> None:
    """Permuting the positions permutes the output: attention has no notion of place."""
    attention = awake(Attention(8, head_channels=4))
    x, order = torch.randn(1, 8, 4, 4), torch.randperm(16)

    def permuted(images: Tensor) -> Tensor:
        return images.flatten(2)[..., order].reshape(images.shape)

    torch.testing.assert_close(attention(permuted(x)), permuted(attention(x)), rtol=1e-5, atol=1e-5)


@given(
    t=st.floats(0, 1000, width=32),
    dim=st.integers(1, 32).map(lambda half: 2 * half),
)
def test_embedding_is_its_formula(t: float, dim: int) -> None:
    """cos and sin of t / 10000^(2 i / dim) for i = 0 .. dim / 2 - 1."""
    embedded = sinusoidal_embedding(torch.tensor([t]), dim)
    angles = [t / 10_000 ** (2 * i / dim) for i in range(dim // 2)]
    expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
    assert embedded.shape == (1, dim)
    assert embedded[0].tolist() == pytest.approx(expected, abs=1e-7)  # rounded to float32


def test_embedding_tells_all_thousand_times_apart() -> None:
    embedded = sinusoidal_embedding(torch.arange(1000.0), 32)
    distances = torch.cdist(embedded, embedded) + 10 * torch.eye(1000)
    # One step turns the fastest pair by 1 rad, a chord of 2 sin(.5) = .96, and others further.
    assert float(distances.min()) > 0.95


def test_group_norm_computes_in_float32_among_bfloat16() -> None:
    norm, x = group_norm(16), 5 + torch.randn(2, 16, 4, 4)
    low = x.bfloat16()
    assert torch.equal(norm(low), norm(low.float()))
    assert norm.double()(x.double()).dtype == torch.float64


@given(channels=st.integers(1, 1024))
def test_group_norm_has_few_large_groups(channels: int) -> None:
    """Groups divide the channels, at most 32, each of at least eight channels if there are."""
    norm = group_norm(channels)
    groups = norm.num_groups
    assert norm.num_channels == channels and channels % groups == 0 and groups <= 32
    assert channels // groups >= min(8, channels)


configs = st.builds(
    UNetConfig,
    channels=st.sampled_from([4, 8]),
    multipliers=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    blocks=st.integers(1, 2),
    attention=st.sets(st.integers(0, 2)).map(tuple),
    head_channels=st.sampled_from([4, 8]),
    patch=st.integers(1, 3),
)


@settings(max_examples=25)
@given(
    config=configs,
    channels=st.integers(1, 4),
    height=st.integers(1, 3),
    width=st.integers(1, 3),
    batch=st.integers(1, 2),
)
def test_output_has_the_shape_of_the_image(
    config: UNetConfig, channels: int, height: int, width: int, batch: int
) -> None:
    """For any sides that `divisor` divides, square or not; and all weights take part."""
    network = awake(UNet(channels, config))
    x = torch.randn(batch, channels, height * config.divisor, width * config.divisor)
    out = network(x, torch.linspace(0, 999, batch))
    assert out.shape == x.shape
    out.square().sum().backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert not idle


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_without_gradients_it_says_the_same_and_leaves_its_input(
    layout: torch.memory_format,
) -> None:
    """Activations are then overwritten; bit for bit that must not show, in any memory format."""
    network = awake(UNet(3, SMALL))
    x, t = torch.randn(2, 3, 8, 8).to(memory_format=layout), torch.tensor([3.0, 999.0])
    before = x.clone()
    with torch.no_grad():
        quick = network(x, t)
    assert torch.equal(x, before)
    assert torch.equal(quick, network(x.contiguous(), t))


@settings(max_examples=25)
@given(config=configs, side=st.integers(1, 24))
def test_sides_that_the_divisor_does_not_divide_do_not_fit(config: UNetConfig, side: int) -> None:
    """`divisor` is exact: the configuration refuses nothing that the network could take."""
    assume(side % config.divisor != 0)
    with pytest.raises(RuntimeError):
        UNet(1, config)(torch.zeros(1, 1, side, side), torch.zeros(1))


@pytest.mark.parametrize("patch", [1, 2])
def test_a_sample_depends_on_itself_and_its_own_time_alone(patch: int) -> None:
    network = awake(UNet(1, SMALL.model_copy(update={"patch": patch})))
    x, t = torch.randn(3, 1, 8, 8), torch.tensor([3.0, 500.0, 999.0])
    together = network(x, t)
    for i in range(3):
        alone = network(x[i : i + 1], t[i : i + 1])
        # Another batch size may take another order of summation; outputs are of size 10.
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(together, network(x, t.flip(0)), atol=1e-2)


def texts(batch: int, width: int = 6) -> Texts:
    """Of five tokens, the last ones of which say nothing; each text has another length."""
    mask = torch.arange(5) < (1 + torch.arange(batch) % 5)[:, None]
    return Texts(torch.randn(batch, 5, width), mask)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 2])
def test_cross_attention_is_softmax_attention_over_what_is_said_written_by_hand(heads: int) -> None:
    """For every head and position, softmax(q k^T / sqrt(d)) v over the tokens of its own text."""
    c, d = 8, 8 // heads
    reading = awake(CrossAttention(c, 6, head_channels=d))
    assert reading.heads == heads
    x, encoded = torch.randn(3, c, 2, 3), texts(3)
    q = reading.q(reading.norm(x).flatten(2).transpose(1, 2))  # [B, H*W, C]
    k, v = reading.kv(encoded.states).chunk(2, dim=2)  # [B, L, C]
    attended, weights = torch.zeros(3, 6, c), torch.zeros(3, heads, 6, 5)
    for b in range(3):
        for head in range(heads):
            own = slice(head * d, (head + 1) * d)
            for i in range(6):
                allowed = range(int(encoded.mask[b].sum()))
                each = [
                    math.exp(float(q[b, i, own] @ k[b, j, own]) / math.sqrt(d)) for j in allowed
                ]
                for j in allowed:
                    weights[b, head, i, j] = each[j] / sum(each)
                    attended[b, i, own] += each[j] / sum(each) * v[b, j, own]
    expected = x + reading.out(attended).transpose(1, 2).unflatten(2, (2, 3))
    # Sums of about ten float32 numbers of size 1, in another order
    torch.testing.assert_close(reading(x, encoded), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(reading.weights(x, encoded), weights, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_network_that_reads_is_moved_by_what_is_said_and_by_nothing_else() -> None:
    network = awake(UNet(1, SMALL, context=6))
    x, t, encoded = torch.randn(5, 1, 8, 8), torch.full((5,), 300.0), texts(5)
    before = network(x, t, texts=encoded)
    changed_padding = torch.where(encoded.mask[:, :, None], encoded.states, 9.0)
    assert torch.equal(network(x, t, texts=encoded._replace(states=changed_padding)), before)
    for j in range(5):
        states = encoded.states.clone()
        states[:, j] += 1
        moved = (
            (network(x, t, texts=encoded._replace(states=states)) != before).flatten(1).any(dim=1)
        )
        assert torch.equal(moved, encoded.mask[:, j])


def test_untrained_a_network_s_reading_changes_nothing() -> None:
    reading = CrossAttention(8, 6, head_channels=4)
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(reading(x, texts(2)), x)


def test_a_network_that_reads_nothing_is_what_it_was() -> None:
    """No weight more, and none drawn otherwise: cross-attention is built only where it is used."""
    names = {name for name, _ in UNet(1, SMALL).named_parameters()}
    reading = {name for name, _ in UNet(1, SMALL, context=6).named_parameters()}
    more = reading - names
    assert names < reading and all("reading" in name or "embed_text" in name for name in more)
    # Where a block attends (down 1, up 2) and in the first of the middle
    readers = {name.rsplit(".reading.")[0] for name in more if ".reading." in name}
    assert readers == {"down.2", "middle.0", "up.0", "up.1"}
