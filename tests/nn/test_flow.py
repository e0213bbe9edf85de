"""Layers of a flow: inverses, determinants, padding, and that densities they learn sum to one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import awake
from servers import free_port
from torch import Tensor
from torch.func import jacrev

from genlab.nn.coupling import (
    AffineCoupling,
    GaussianSplit,
    MaskedCoupling,
    channel_half,
    checkerboard,
)
from genlab.nn.flow import ActNorm, Bijection, FlowLevel, Fold, GaussianPrior, InvertibleConv

LAYERS: dict[str, Callable[[Tensor], Bijection]] = {
    "actnorm": ActNorm,
    "1x1 convolution": InvertibleConv,
    "coupling": lambda real: AffineCoupling(real, hidden=5),
    "coupling, flipped": lambda real: AffineCoupling(real, hidden=5, flip=True),
    "split": GaussianSplit,
    "prior": GaussianPrior,
    "checkerboard": lambda real: MaskedCoupling(real, 5, checkerboard(real, 0)),
    "other colour": lambda real: MaskedCoupling(real, 5, checkerboard(real, 1)),
    "channels": lambda real: MaskedCoupling(real, 5, channel_half(real, 0)),
    "other channels": lambda real: MaskedCoupling(real, 5, channel_half(real, 1)),
}
layers = pytest.mark.parametrize("name", LAYERS)


def padded(channels: int, height: int, width: int, cut: int) -> Tensor:
    """bool [C, H, W] with the last `cut` entries of the last row outside of the image."""
    real = torch.ones(channels, height, width, dtype=torch.bool)
    real[channels // 2 :, -1, width - min(cut, width) :] = False
    return real


def determinant(layer: Bijection, x: Tensor) -> float:
    """log |det dz/dx| at x [1, C, H, W] over the real entries, by the autograd Jacobian."""
    places = layer.real.bool().flatten().nonzero().squeeze(1)

    def z(entries: Tensor) -> Tensor:
        whole = torch.zeros(x.numel(), dtype=x.dtype).index_copy(0, places, entries)
        return layer(whole.reshape(x.shape))[0].flatten()[places]

    sign, logdet = torch.linalg.slogdet(jacrev(z)(x.flatten()[places]))
    assert sign != 0
    return float(logdet)


shapes = st.tuples(st.integers(2, 5), st.integers(1, 4), st.integers(1, 4), st.integers(0, 3))


@layers
@settings(max_examples=8)
@given(shape=shapes, batch=st.integers(1, 4), seed=st.integers(0, 1000))
def test_a_layer_is_a_bijection_and_knows_its_determinant(
    name: str, shape: tuple[int, int, int, int], batch: int, seed: int
) -> None:
    """In float64: back to 1e-9; the determinant to 1e-9 as well. What is outside stays zero.

    In float32 a layer comes back to 1e-4, the rounding of values of size 1 to 30.
    """
    torch.manual_seed(seed)
    real = padded(*shape)
    layer = awake(LAYERS[name](real)).requires_grad_(False)
    x = torch.randn(batch, *real.shape) * real
    torch.testing.assert_close(layer.inverse(layer(x)[0]), x, rtol=0, atol=1e-4)
    layer, x = layer.double(), x.double()
    z, logdet = layer(x)
    assert not z[:, ~real].any() and logdet.shape == (batch,)
    torch.testing.assert_close(layer.inverse(z), x, rtol=0, atol=1e-9)
    expected = [determinant(layer, one[None]) for one in x]
    torch.testing.assert_close(
        logdet, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9
    )


@settings(max_examples=15)
@given(blocks=st.tuples(*[st.integers(1, 3)] * 4), channels=st.integers(1, 3))
def test_folding_gathers_blocks_and_comes_back(
    blocks: tuple[int, int, int, int], channels: int
) -> None:
    rows, columns, h, w = blocks
    x = torch.rand(2, channels, rows * h, columns * w)
    fold = Fold(torch.ones(x.shape[1:], dtype=torch.bool), h, w)
    z, logdet = fold(x)
    assert z.shape == (2, channels * h * w, rows, columns) and not logdet.any()
    for r, c in itertools.product(range(rows), range(columns)):
        block = x[:, :, r * h : (r + 1) * h, c * w : (c + 1) * w]
        assert torch.equal(z[:, :, r, c], block.flatten(1))
    assert torch.equal(fold.inverse(z), x)


def test_folding_two_by_two_is_pixel_unshuffle() -> None:
    x = torch.rand(2, 3, 4, 6)
    fold = Fold(torch.ones(3, 4, 6, dtype=torch.bool), 2, 2)
    assert torch.equal(fold(x)[0], torch.nn.functional.pixel_unshuffle(x, 2))


@torch.no_grad()
def test_actnorm_starts_with_the_first_training_batch_and_no_other() -> None:
    """Mean 0 and variance 1 of the real entries, to the rounding of float32 sums."""
    real = padded(3, 4, 4, cut=3)
    layer = ActNorm(real)
    first, second = (5 * torch.randn(8, 3, 4, 4) * real + 3 * real for _ in range(2))
    layer.eval()
    assert torch.equal(layer(first)[0], first)  # not in evaluation,
    assert torch.equal(layer.inverse(first), first) and not layer.initialised  # nor backwards
    layer.train()
    z, _ = layer(first)
    assert layer.initialised
    for channel in range(3):
        entries = z[:, channel][:, real[channel]]
        assert float(entries.mean()) == pytest.approx(0, abs=1e-5)
        assert float(entries.var(correction=0)) == pytest.approx(1, abs=1e-4)
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    layer(second)
    again = ActNorm(real)
    again.load_state_dict(before)
    again.train()(second)
    for name, tensor in before.items():
        assert torch.equal(tensor, layer.state_dict()[name])
        assert torch.equal(tensor, again.state_dict()[name])


def _two_processes(rank: int, port: int) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    x, own, together = first_batch_of_actnorm()
    own(x[rank::2])
    both = [torch.empty_like(own.b) for _ in range(2)]
    torch.distributed.all_gather(both, own.b.detach())
    torch.distributed.destroy_process_group()
    assert torch.equal(*both)
    together(x)
    for name, expected in together.state_dict().items():  # float32 sums in another order
        torch.testing.assert_close(own.state_dict()[name], expected, rtol=1e-5, atol=1e-6)


def first_batch_of_actnorm() -> tuple[Tensor, ActNorm, ActNorm]:
    """Images [8, 2, 3, 3], the two halves of which differ, and two new layers."""
    x = torch.randn(8, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    x[::2] += 3
    return x, *(ActNorm(torch.ones(2, 3, 3, dtype=torch.bool)) for _ in range(2))


def test_actnorm_starts_from_the_images_of_all_processes() -> None:
    torch.multiprocessing.spawn(_two_processes, (free_port(),), nprocs=2)


def test_1x1_convolution_starts_as_a_rotation() -> None:
    """W W^T = I to float32; log |det W| = 0."""
    layer = InvertibleConv(torch.ones(6, 1, 1, dtype=torch.bool))
    w = layer(torch.eye(6)[:, :, None, None])[0].squeeze().T
    torch.testing.assert_close(w @ w.T, torch.eye(6), rtol=0, atol=1e-5)
    assert float(layer.log_s.sum()) == pytest.approx(0, abs=1e-5)


@layers
def test_autocast_reaches_nothing_but_the_networks(name: str) -> None:
    """z and logdet stay float32, and are the same where there is no network."""
    real = padded(4, 4, 4, cut=0)
    layer, x = awake(LAYERS[name](real)), torch.randn(3, 4, 4, 4)
    z, logdet = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        again, logdet_again = layer(x)
    assert again.dtype == logdet_again.dtype == torch.float32
    if not hasattr(layer, "network"):
        assert torch.equal(z, again) and torch.equal(logdet, logdet_again)
    else:
        assert not torch.equal(z, again)


def two_moons(n: int) -> Tensor:
    """n points [n, 2, 1, 1] near two half circles, about one unit wide each."""
    angle, moon = torch.rand(n) * math.pi, (torch.rand(n) < 0.5).float()
    x = angle.cos() * (1 - 2 * moon) + moon - 0.5
    y = angle.sin() * (1 - 2 * moon) + moon * 0.5 - 0.25
    return (torch.stack([x, y], dim=1) + 0.1 * torch.randn(n, 2))[:, :, None, None]


def flow_of_two_dimensions(kind: str) -> FlowLevel:
    real = torch.ones(2, 1, 1, dtype=torch.bool)
    chain: list[Bijection] = []
    for k in range(8):
        chain.append(ActNorm(real))
        if kind == "glow":
            chain += [InvertibleConv(real), AffineCoupling(real, 32, flip=k % 2 == 1)]
        else:
            chain.append(MaskedCoupling(real, 32, channel_half(real, k % 2)))
    return FlowLevel([*chain, GaussianPrior(real)], real)


@pytest.mark.parametrize("kind", ["glow", "realnvp"])
def test_the_density_of_a_trained_flow_integrates_to_one(kind: str) -> None:
    """Within 1 %, by the midpoint rule on [-4, 4]^2, four times the moons' size.

    It has learned: at least half a nat a point above the best Gaussian. And trained weights too
    come back, to 1e-4 in float32 and 1e-9 in float64.
    """
    flow = flow_of_two_dimensions(kind)

    def log_p(x: Tensor) -> Tensor:
        _, z, logdet = flow(x)
        return -0.5 * z.square().sum(dim=1) - math.log(2 * math.pi) + logdet

    optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)
    for _ in range(300):
        loss = -log_p(two_moons(256)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    flow.eval()
    data = two_moons(4000)
    best_gaussian = -0.5 * torch.logdet(2 * math.pi * math.e * data.squeeze().T.cov())
    with torch.no_grad():
        assert float(log_p(data).mean()) > float(best_gaussian) + 0.5
        side = (torch.arange(400) + 0.5) / 50 - 4
        grid = torch.cartesian_prod(side, side)[:, :, None, None]
        assert float(log_p(grid).exp().sum() / 50**2) == pytest.approx(1, abs=0.01)
        for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
            flow, x = flow.to(dtype), data.to(dtype)
            stays, z, _ = flow(x)
            torch.testing.assert_close(flow.inverse(stays, z), x, rtol=0, atol=tolerance)
