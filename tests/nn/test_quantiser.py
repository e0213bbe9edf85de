"""The quantiser: each equation of it against loops written by hand."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from genlab.nn import quantiser as quantiser_module
from genlab.nn.quantiser import EPSILON, Quantiser, perplexity
from genlab.training.shares import BatchNoise, BatchShare


def started(codes: int = 5, width: int = 3, restart_below: float = 0.0) -> Quantiser:
    """A quantiser past its first batch, with uneven counts."""
    quantiser = Quantiser(codes, width, decay=0.9, restart_below=restart_below)
    quantiser.counts.copy_(1 + torch.rand(codes))
    quantiser.started.fill_(True)
    quantiser.on_host = True
    return quantiser


def nearest_by_hand(z: Tensor, e: Tensor) -> list[int]:
    """For each row of z [N, D] the number of the row of e [K, D] that is nearest."""
    return [min(range(len(e)), key=lambda k: math.dist(row, e[k].tolist())) for row in z.tolist()]


@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    width=st.integers(1, 5),
    height=st.integers(1, 4),
    columns=st.integers(1, 4),
    codes=st.integers(2, 9),
    seed=st.integers(0, 1000),
)
def test_every_vector_becomes_the_nearest_code(
    batch: int, width: int, height: int, columns: int, codes: int, seed: int
) -> None:
    """For any sizes; the commitment is the mean squared distance to it."""
    torch.manual_seed(seed)
    quantiser = started(codes, width).eval()
    z, e = torch.randn(batch, width, height, columns), quantiser.codebook()
    vectors, indices, commitment = quantiser(z)
    assert indices.shape == (batch, height, columns) and vectors.shape == z.shape
    distances = []
    for b, y, x in itertools.product(range(batch), range(height), range(columns)):
        place = z[b, :, y, x]
        k = indices[b, y, x]
        distances.append(float((place - e[k]).square().sum()))
        best = min(float((place - code).square().sum()) for code in e)
        # Squares of float32 numbers of size 10, in another order: two codes that are as near
        assert distances[-1] == pytest.approx(best, rel=1e-4, abs=1e-4)
        torch.testing.assert_close(vectors[b, :, y, x], e[k], rtol=1e-5, atol=1e-5)
    expected = sum(distances) / z.numel()
    assert float(commitment) == pytest.approx(expected, rel=1e-4)
    assert torch.equal(quantiser.lookup(indices), e[indices].movedim(-1, 1))


def test_the_gradient_of_the_codes_is_handed_to_z_unchanged() -> None:
    """dL/dz = dL/de exactly, of any L; and that of the commitment is 2 (z - e) / numel."""
    quantiser = started().eval()
    z = torch.randn(2, 3, 4, 4, requires_grad=True)
    vectors, indices, commitment = quantiser(z)
    e = vectors.detach().requires_grad_()

    def any_loss(v: Tensor) -> Tensor:
        return (v.sin() * torch.arange(v.numel()).reshape(v.shape)).sum()

    (through,) = torch.autograd.grad(any_loss(vectors), z, retain_graph=True)
    (direct,) = torch.autograd.grad(any_loss(e), e)
    assert torch.equal(through, direct)
    (pull,) = torch.autograd.grad(commitment, z)
    expected = 2 * (z.detach() - quantiser.lookup(indices)) / z.numel()
    torch.testing.assert_close(pull, expected, rtol=1e-6, atol=1e-9)  # float32


def test_the_codebook_follows_as_a_loop_says() -> None:
    """Equations 6 to 8 over ten batches, vector by vector; N and m stay free of the smoothing."""
    quantiser = started(codes=4)
    counts, sums = quantiser.counts.double().clone(), quantiser.sums.double().clone()
    for _ in range(10):
        z = torch.randn(3, 3, 2, 2)
        flat = z.movedim(1, -1).reshape(-1, 3)
        n, total = torch.zeros(4, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)
        for row, k in zip(flat, nearest_by_hand(flat, quantiser.codebook()), strict=True):
            n[k] += 1
            total[k] += row
        quantiser(z)
        counts = 0.9 * counts + 0.1 * n
        sums = 0.9 * sums + 0.1 * total
        # float32 against float64
        torch.testing.assert_close(quantiser.counts.double(), counts, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(quantiser.sums.double(), sums, rtol=1e-5, atol=1e-6)
    # With thousands of times EPSILON in each count, the smoothing is smaller than the tolerance.
    assert float(counts.min()) > 1e3 * EPSILON
    expected = (sums / counts[:, None]).float()
    torch.testing.assert_close(quantiser.codebook(), expected, rtol=1e-3, atol=1e-4)


def test_laplace_smoothing_is_its_formula_and_keeps_an_unused_code_finite() -> None:
    """(N_k + eps) / (N + K eps) N, whose sum is N; a code of no vectors divides by more than 0."""
    quantiser = started(codes=3)
    quantiser.counts.copy_(torch.tensor([0.0, 1.0, 7.0]))
    quantiser.sums.fill_(1.0)
    smoothed = [(n + 1e-5) / (8 + 3e-5) * 8 for n in (0.0, 1.0, 7.0)]
    assert sum(smoothed) == pytest.approx(8)
    expected = torch.tensor([1 / n for n in smoothed])[:, None].expand(3, 3)
    torch.testing.assert_close(quantiser.codebook(), expected, rtol=1e-5, atol=0)  # float32
    assert torch.equal(quantiser.counts, torch.tensor([0.0, 1.0, 7.0]))


@pytest.mark.parametrize("codes", [4, 11])
def test_the_first_training_batch_makes_the_codebook(codes: int) -> None:
    """Each code is a vector of the batch, another one as far as there are enough; once only."""
    quantiser = Quantiser(codes, 3, decay=1.0, restart_below=0.0)  # no following
    fresh = quantiser.codebook()
    z = torch.randn(2, 3, 2, 2)
    quantiser.eval()(z)
    assert torch.equal(quantiser.codebook(), fresh) and not quantiser.started
    quantiser.train()(z)
    vectors = z.movedim(1, -1).reshape(-1, 3)
    distances = torch.cdist(quantiser.codebook(), vectors)
    # Equal but for N / N and the smoothing, 1e-5 of a count near 1
    assert float(distances.min(dim=1).values.max()) < 1e-3
    assert len(distances.argmin(dim=1).unique()) == min(codes, len(vectors))
    first = quantiser.codebook()
    quantiser(torch.randn(2, 3, 2, 2))
    assert torch.equal(quantiser.codebook(), first)


@pytest.mark.parametrize(("images", "side"), [(4, 1), (4, 2), (2, 1)])
def test_processes_that_share_a_batch_start_with_the_same_codes(
    images: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the whole batch has as many vectors as two views of a share have images."""
    z = torch.randn(images, 3, side, side)
    monkeypatch.setattr(
        quantiser_module, "whole_batch", lambda rows: z.movedim(1, -1).flatten(1, 2)
    )
    codebooks = []
    for shares in (1, 2):
        for number in range(shares):
            quantiser, share = (
                Quantiser(3, 3, decay=1.0, restart_below=0.0),
                BatchShare(number, shares),
            )
            torch.manual_seed(1)
            with BatchNoise(share, images // shares):
                codebooks.append(quantiser._random_vectors(share.rows(z)))
    assert torch.equal(codebooks[0], codebooks[1])
    assert torch.equal(codebooks[0], codebooks[2])


def test_a_loaded_codebook_does_not_start_again() -> None:
    trained = Quantiser(4, 3, decay=1.0, restart_below=0.0)
    trained(torch.randn(2, 3, 2, 2))
    loaded = Quantiser(4, 3, decay=1.0, restart_below=0.0)
    loaded.load_state_dict(trained.state_dict())
    loaded(torch.randn(2, 3, 2, 2))
    assert torch.equal(loaded.codebook(), trained.codebook())


def test_a_dead_code_comes_back_as_a_vector_of_the_batch() -> None:
    """A code far from everything dies, is moved into the batch, and then is used again."""
    quantiser = started(codes=4, restart_below=0.5)
    quantiser.sums[0] = 1e4
    batches = [torch.randn(8, 3, 2, 2) for _ in range(30)]
    used = []
    for z in batches:
        _, indices, _ = quantiser(z)
        used.append(bool((indices == 0).any()))
        restarted = float(quantiser.codebook()[0].abs().max()) < 100
        assert restarted or not used[-1]
    assert not used[0] and all(used[-5:])
    # ... with the mean count of all codes, so not to die again at once
    assert float(quantiser.counts.min()) > 0.5


def test_without_a_threshold_a_dead_code_stays_dead() -> None:
    quantiser = started(codes=4, restart_below=0.0)
    quantiser.sums[0] = 1e4
    for _ in range(30):
        assert not (quantiser(torch.randn(8, 3, 2, 2)).indices == 0).any()


def test_outside_of_training_nothing_changes() -> None:
    quantiser = started(restart_below=100.0).eval()
    before = {name: tensor.clone() for name, tensor in quantiser.state_dict().items()}
    quantiser(torch.randn(4, 3, 2, 2), epoch=7)
    assert all(torch.equal(before[name], t) for name, t in quantiser.state_dict().items())


def test_under_autocast_distances_are_float32() -> None:
    """Codes one 2**-9 apart, which bfloat16 can't tell apart."""
    quantiser = Quantiser(2, 1, decay=0.9, restart_below=0.0).eval()
    quantiser.sums.copy_(torch.tensor([[1.0], [1.0 + 2**-9]]))
    z = torch.tensor([1.0, 1.0 + 2**-9]).reshape(1, 1, 1, 2)
    with torch.autocast("cpu", torch.bfloat16):
        vectors, indices, _ = quantiser(z)
    assert indices.flatten().tolist() == [0, 1] and vectors.dtype == torch.float32


def test_reported_counts_are_those_of_the_last_complete_epoch() -> None:
    """During the first epoch what there is of it; outside of training that of the batch."""
    quantiser = started(codes=6)
    codes_of_epoch: dict[int, list[int]] = {}
    for epoch in (0, 0, 1, 1, 1, 2):
        indices = quantiser(torch.randn(2, 3, 2, 2), epoch).indices
        codes_of_epoch.setdefault(epoch, []).extend(indices.flatten().tolist())
        used = codes_of_epoch[max(epoch - 1, 0)]
        assert quantiser.reported_counts(indices).tolist() == [used.count(k) for k in range(6)]
    indices = torch.tensor([[[0, 2, 2]]])
    assert quantiser.eval().reported_counts(indices).tolist() == [1, 0, 2, 0, 0, 0]


@given(counts=st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(any))
def test_perplexity_is_the_exponential_of_the_entropy(counts: list[int]) -> None:
    shares = [n / sum(counts) for n in counts if n]
    expected = math.exp(-sum(p * math.log(p) for p in shares))
    assert float(perplexity(torch.tensor(counts))) == pytest.approx(expected, rel=1e-5)  # float32


def _one_of_two(rank: int, parts: Tensor, rendezvous: str, out: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2
    )
    torch.manual_seed(0)  # the same in all processes, as the trainer does
    quantiser = Quantiser(4, 3, decay=0.9, restart_below=1.0)
    for part in parts[rank]:
        quantiser(part)
    torch.save(quantiser.state_dict(), f"{out}{rank}")
    torch.distributed.destroy_process_group()


def test_two_processes_keep_one_codebook(tmp_path: Path) -> None:
    """Whatever their parts of the batches, counts and sums are equal.

    They add up over both: with a decay of .9, N of steps on 16 vectors goes towards 16.
    """
    parts = torch.randn(2, 5, 2, 3, 2, 2)
    files = (f"{tmp_path}/rendezvous", f"{tmp_path}/state")
    torch.multiprocessing.spawn(_one_of_two, (parts, *files), nprocs=2)
    one, two = (torch.load(f"{files[1]}{rank}", weights_only=True) for rank in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert float(one["counts"].sum()) >= 15.9 and bool(one["started"])
    assert int(one["this_epoch"].sum()) == 5 * 16
