"""The diffusion transformer: what it says untrained, its parts against formulas, its shapes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles import awake
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from genlab.config.networks import DiTConfig
from genlab.nn.dit import DiT, DiTBlock, Neighbours, grid_positions

SMALL = DiTConfig(backbone="dit", width=16, depth=2, heads=2, patch=2)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_untrained_it_predicts_exactly_zero(patch: int) -> None:
    network = DiT((3, 8, 8), SMALL.model_copy(update={"patch": patch}))
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(network(x, torch.tensor([0.0, 999.0])), torch.zeros_like(x))


def test_an_untrained_block_is_the_identity() -> None:
    """adaLN-zero: both gates are 0, whatever the embedding."""
    x = torch.randn(2, 6, 16)
    assert torch.equal(DiTBlock(SMALL, (2, 3))(x, torch.randn(2, 16)), x)


@torch.no_grad()
@pytest.mark.parametrize("convolution", [False, True])
def test_a_block_is_its_formula(convolution: bool) -> None:
    """x + gate (attention(norm(x) (1 + scale) + shift)), and so with the feed-forward layer.

    In that a convolution stands behind the first linear layer, if anywhere.

    Attention is written by hand: softmax(q k' / sqrt(d)) v for every head.
    """
    config = SMALL.model_copy(update={"convolution": convolution})
    block, n, d = awake(DiTBlock(config, (2, 3))), 6, 16
    x, e = torch.randn(2, n, d), torch.randn(2, d)
    steering = (e @ block.modulation.weight.T + block.modulation.bias).reshape(2, 6, 1, d)
    shift1, scale1, gate1, shift2, scale2, gate2 = steering.unbind(1)

    def norm(h: Tensor) -> Tensor:
        mean, variance = h.mean(-1, keepdim=True), h.var(-1, correction=0, keepdim=True)
        return (h - mean) / (variance + 1e-6).sqrt()

    q, k, v = block.qkv(norm(x) * (1 + scale1) + shift1).chunk(3, dim=2)
    heads = []
    for i in range(2):
        own = slice(8 * i, 8 * i + 8)
        weights = (q[..., own] @ k[..., own].transpose(1, 2) / math.sqrt(8)).softmax(dim=2)
        heads.append(weights @ v[..., own])
    h = x + gate1 * block.out(torch.cat(heads, dim=2))
    first, *between, second = block.mlp
    hidden = first(norm(h) * (1 + scale2) + shift2)
    if convolution:
        hidden = between[0](hidden)
    hidden = F.gelu(hidden, approximate="tanh")
    # Sums of 64 float32 numbers of size 10, in another order
    torch.testing.assert_close(block(x, e), h + gate2 * second(hidden), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_with_a_convolution_a_token_feels_the_eight_around_it_and_no_others() -> None:
    """Depthwise, by nine products a token; rows of a grid that isn't square don't run on."""
    height, width = 3, 5
    layer = Neighbours(2, (height, width))
    tokens = torch.randn(4, height * width, 2)
    expected = layer.convolution.bias.expand(4, height, width, 2).clone()
    grid = tokens.reshape(4, height, width, 2)
    for y, x in itertools.product(range(height), range(width)):
        for dy, dx in itertools.product((-1, 0, 1), repeat=2):
            if 0 <= y + dy < height and 0 <= x + dx < width:
                weight = layer.convolution.weight[:, 0, dy + 1, dx + 1]  # [D]
                expected[:, y, x] += weight * grid[:, y + dy, x + dx]
    # Nine float32 products of size 1, in another order
    torch.testing.assert_close(layer(tokens), expected.flatten(1, 2), rtol=1e-5, atol=1e-5)


def test_positions_are_those_of_rows_and_of_columns() -> None:
    """Half of the channels say the row, half the column; no two places are alike."""
    positions = grid_positions(3, 5, 16)
    assert positions.shape == (15, 16)
    grid = positions.reshape(3, 5, 16)
    assert torch.equal(grid[..., :8], grid[:, :1, :8].expand(-1, 5, -1))
    assert torch.equal(grid[..., 8:], grid[:1, :, 8:].expand(3, -1, -1))
    frequencies = [10_000 ** (-i / 4) for i in range(4)]
    for place in range(5):
        expected = [math.cos(place * f) for f in frequencies]
        expected += [math.sin(place * f) for f in frequencies]
        assert grid[0, place, 8:].tolist() == pytest.approx(expected, abs=1e-5)  # float32
    distances = torch.cdist(positions, positions) + 10 * torch.eye(15)
    assert float(distances.min()) > 0.9  # one step turns the fastest pair by 1 rad, a chord of .96


def test_a_patch_of_pixels_is_a_token_and_comes_back_to_its_place() -> None:
    """With blocks that do nothing and a last layer that undoes the first one, out comes the image.

    Rows and columns of a picture that isn't square don't get mixed up.
    """
    network = DiT((2, 4, 8), SMALL)
    with torch.no_grad():
        network.positions.zero_()
        network.first.weight.copy_(torch.eye(16)[:, :8])
        network.first.bias.zero_()
        network.last.weight.copy_(torch.eye(16)[:8])
        network.norm = torch.nn.Identity()  # type: ignore[assignment]
        x = torch.randn(3, 2, 4, 8)
        torch.testing.assert_close(network(x, torch.zeros(3)), x, rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_without_positions_it_would_not_know_where_a_patch_is() -> None:
    """Patches changed about: with positions zeroed so are the answers, with them they are not."""
    network = awake(DiT((1, 4, 4), SMALL))
    x, t = torch.randn(1, 1, 4, 4), torch.tensor([300.0])
    swapped = x.roll(2, dims=3)
    assert not torch.allclose(network(swapped, t), network(x, t).roll(2, dims=3), atol=1e-2)
    network.positions.zero_()
    # The same numbers in another order of summation; outputs are of size 10
    torch.testing.assert_close(
        network(swapped, t), network(x, t).roll(2, dims=3), rtol=1e-4, atol=1e-3
    )


configs = st.builds(
    DiTConfig,
    backbone=st.just("dit"),
    width=st.sampled_from([8, 16, 24]),
    depth=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 4]),
    mlp=st.sampled_from([0.5, 2.0, 4.0]),
    patch=st.integers(1, 4),
    convolution=st.booleans(),
)


@settings(max_examples=25)
@given(
    config=configs,
    channels=st.integers(1, 4),
    height=st.integers(1, 3),
    width=st.integers(1, 3),
    classes=st.sampled_from([0, 3]),
    outputs=st.integers(1, 2),
)
def test_output_has_the_shape_of_the_image_and_all_weights_take_part(
    config: DiTConfig, channels: int, height: int, width: int, classes: int, outputs: int
) -> None:
    """For any sides that `patch` divides, odd or even; twice the channels for a variance."""
    shape = (channels, height * config.divisor, width * config.divisor)
    network = awake(DiT(shape, config, classes, outputs))
    labels = torch.tensor([classes, 0]) if classes else None
    out = network(torch.randn(2, *shape), torch.tensor([0.0, 999.0]), labels)
    assert out.shape == (2, outputs * channels, *shape[1:])
    out.square().sum().backward()
    assert not [name for name, weight in network.named_parameters() if weight.grad is None]


@settings(max_examples=25)
@given(config=configs, side=st.integers(1, 24))
def test_sides_that_the_patch_does_not_divide_do_not_fit(config: DiTConfig, side: int) -> None:
    """`divisor` is exact: the configuration refuses nothing that the network could take."""
    assume(side % config.divisor != 0)
    with pytest.raises(RuntimeError):
        DiT((1, side, side), config)(torch.zeros(1, 1, side, side), torch.zeros(1))


@torch.no_grad()
def test_a_sample_depends_on_itself_its_own_time_and_label_alone() -> None:
    network = awake(DiT((1, 8, 8), SMALL, classes=3))
    x, t, labels = torch.randn(3, 1, 8, 8), torch.tensor([3.0, 500.0, 999.0]), torch.arange(3) + 1
    together = network(x, t, labels)
    for i in range(3):
        alone = network(x[i : i + 1], t[i : i + 1], labels[i : i + 1])
        # Another batch size may take another order of summation; outputs are of size 10.
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-3)
    assert not torch.allclose(together, network(x, t.flip(0), labels), atol=1e-2)
    assert not torch.allclose(together, network(x, t, labels.flip(0)), atol=1e-2)


@pytest.mark.parametrize(
    ("width", "heads", "message"),
    [(6, 1, "width: 6 must be divisible by 4"), (16, 3, "heads: 3 must divide width 16")],
)
def test_a_width_that_cannot_be_divided_is_refused(width: int, heads: int, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DiTConfig(backbone="dit", width=width, heads=heads)
