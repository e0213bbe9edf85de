"""Glow's layers against those of normflows, on the same weights.

normflows calls the way from data to noise `inverse`, and so is that which is compared. Where its
parameters stand for something else, the test translates them and says how.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from oracles import awake
from torch import Tensor, nn

from genlab.nn.coupling import AffineCoupling
from genlab.nn.flow import ActNorm, Bijection, Fold, InvertibleConv

pytest.importorskip("normflows")
from normflows.flows import ActNorm as PeerActNorm
from normflows.flows import AffineCouplingBlock, Invertible1x1Conv, Squeeze

SHAPE = (6, 4, 5)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, *SHAPE)


def real() -> Tensor:
    return torch.ones(SHAPE, dtype=torch.bool)


def peer_actnorm(own: ActNorm) -> nn.Module:
    """z = (x - t) exp(-s) there: s = -log_s and t = -b."""
    peer = PeerActNorm((SHAPE[0], 1, 1))
    peer.s.data, peer.t.data = -own.log_s.data[None], -own.b.data[None]
    peer.data_dep_init_done.fill_(1.0)
    return peer


def peer_conv(own: InvertibleConv) -> nn.Module:
    """W = P L (U + diag(s)) there as well; P is a matrix, not an order."""
    peer = Invertible1x1Conv(SHAPE[0], use_lu=True)
    peer.P.copy_(torch.eye(SHAPE[0])[own.order])
    peer.L.data, peer.U.data = own.triangles.data.tril(-1), own.triangles.data.triu(1)
    peer.sign_S.copy_(own.sign)
    peer.log_S.data = own.log_s.data
    return peer


class Interleaved(nn.Module):
    """normflows wants t, s, t, s ... of the network, and takes t away: z = (x - t) sigmoid(s + 2).

    It takes s as it is, while ours is softly held between -4 and 4.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        s, t = self.network(x).chunk(2, dim=1)
        return torch.stack([-t, 4 * (s / 4).tanh()], dim=2).flatten(1, 2)


def peer_coupling(own: AffineCoupling) -> nn.Module:
    mode = "channel_inv" if own.flip else "channel"
    peer: nn.Module = AffineCouplingBlock(
        Interleaved(own.network), scale_map="sigmoid", split_mode=mode
    )
    return peer


def assert_same(own: Bijection, peer: Any, x: Tensor) -> None:
    """z, logdet and the way back agree to 1e-4: float32 sums of 120 terms of size 1 to 10."""
    z, logdet = own(x)
    expected, expected_logdet = peer.inverse(x)
    torch.testing.assert_close(z, expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        logdet, torch.as_tensor(expected_logdet).expand(len(x)), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(own.inverse(z), peer.forward(z)[0], rtol=0, atol=1e-4)


@torch.no_grad()
def test_actnorm(x: Tensor) -> None:
    own = awake(ActNorm(real()))
    assert_same(own, peer_actnorm(own), x)


@torch.no_grad()
def test_actnorm_starts_with_the_same_statistics(x: Tensor) -> None:
    """normflows divides by the unbiased deviation (n - 1), Glow's code and ours by that of n."""
    own, peer = ActNorm(real()), PeerActNorm((SHAPE[0], 1, 1))
    n = x[:, 0].numel()
    z, _ = own(x)
    expected, _ = peer.inverse(x)
    torch.testing.assert_close(z, expected * (n / (n - 1)) ** 0.5, rtol=0, atol=1e-4)


@torch.no_grad()
def test_1x1_convolution(x: Tensor) -> None:
    own = awake(InvertibleConv(real()))
    assert_same(own, peer_conv(own), x)


@torch.no_grad()
@pytest.mark.parametrize("flip", [False, True])
def test_affine_coupling(flip: bool, x: Tensor) -> None:
    own = awake(AffineCoupling(real(), 8, flip))
    assert_same(own, peer_coupling(own), x)


@torch.no_grad()
def test_squeezing() -> None:
    x = torch.rand(2, 3, 4, 6)
    own = Fold(torch.ones(3, 4, 6, dtype=torch.bool), 2, 2)
    assert torch.equal(own(x)[0], Squeeze().inverse(x)[0])
