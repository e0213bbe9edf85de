"""Batches: which images they hold, in which order, as which numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genlab.config.families import build_family
from genlab.io.arrays import write_array
from genlab.models.base import Batch
from genlab.models.batches import Batches, Table, flip, in_parts, load, to_float, to_uint8
from genlab.results.layout import DataFolder
from genlab.workflow.data import read_factors, read_table


def batches(n: int, size: int, seed: int, part: tuple[int, int] = (0, 1)) -> Batches:
    """Batches over `n` images that can be told apart by their first pixels and their label."""
    images = np.zeros((n, 1, 1, 2), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.divmod(np.arange(n), 256)
    return Batches(Table(images, np.arange(n)), size, seed, part=part)


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    """Whatever was asked for before, in whatever order."""
    forward, backward = batches(100, 32, seed=1), batches(100, 32, seed=1)
    seen = {k: forward[k].labels for k in range(10)}
    for k in reversed(range(10)):
        assert torch.equal(backward[k].labels, seen[k])
    assert not torch.equal(batches(100, 32, seed=2)[0].labels, seen[0])


def test_a_batch_holds_the_images_of_its_labels_on_zero_to_one() -> None:
    batch = batches(1000, 64, seed=0)[3]
    pixels = (batch.images * 255).round().long()
    assert torch.equal(pixels[:, 0, 0, 0] * 256 + pixels[:, 0, 0, 1], batch.labels)
    assert batch.images.dtype == torch.float32
    assert 0 <= batch.images.min() <= batch.images.max() <= 1


def test_a_batch_knows_which_training_images_it_holds_until_they_are_changed() -> None:
    source = batches(100, 32, seed=0, part=(1, 2))
    batch = source[5]
    assert batch.indices is not None
    assert torch.equal(batch.indices, torch.from_numpy(source.indices(5)[1::2]))
    assert torch.equal(batch.images, to_float(torch.from_numpy(source.table.images[batch.indices])))
    assert flip(batch).indices is None


@pytest.mark.parametrize(("n", "size"), [(96, 32), (100, 32), (7, 32), (10, 1)])
def test_each_image_comes_once_an_epoch_in_an_order_of_its_own(n: int, size: int) -> None:
    """Also where batches don't divide the epoch, or hold several."""
    source = batches(n, size, seed=0)
    seen = np.concatenate([source.indices(k) for k in range(-(-3 * n // size))])
    epochs = [seen[i * n : (i + 1) * n] for i in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(n))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], np.arange(n))


@pytest.mark.parametrize("processes", [2, 3])
def test_the_processes_share_a_batch_between_them(processes: int) -> None:
    whole = batches(100, 32, seed=0)[5].labels
    parts = [batches(100, 32, seed=0, part=(rank, processes))[5].labels
             for rank in range(processes)]  # fmt: skip
    assert sorted(torch.cat(parts).tolist()) == sorted(whole.tolist())


def test_half_of_the_images_are_mirrored_left_to_right() -> None:
    """Each image whole, with its label; five standard errors of a share of 1/2 in 2,000."""
    images = torch.rand(2000, 3, 2, 4)
    batch = flip(Batch(images, torch.arange(2000)))
    mirrored = (batch.images == images[..., [3, 2, 1, 0]]).flatten(1).all(dim=1)
    kept = (batch.images == images).flatten(1).all(dim=1)
    assert (mirrored ^ kept).all()
    assert float(mirrored.float().mean()) == pytest.approx(0.5, abs=5 * 0.5 / 2000**0.5)
    assert torch.equal(batch.labels, torch.arange(2000))


def test_pixels_are_rounded_and_clipped() -> None:
    images = torch.tensor([-0.1, 0.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 1.0, 7.0])
    assert to_uint8(images).tolist() == [0, 0, 0, 1, 255, 255, 255]
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(pixels)), pixels)


def test_parts_hold_every_image_once_in_order() -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 1, 2, 2), np.uint8)
    parts = list(in_parts(images, "cpu", size=3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert torch.equal(torch.cat(parts), to_float(torch.from_numpy(images)))


def test_a_split_is_read_as_far_as_the_family_needs_it(tmp_path: Path) -> None:
    """No other file is there."""
    data = DataFolder(tmp_path)
    write_array(data.images("train"), np.zeros((2, 1, 4, 4), np.uint8))
    write_array(data.labels("train"), np.array([1, 0]))
    table = read_table(data, "train", build_family({"family": "vae"}, "here"))
    assert table.labels.tolist() == [1, 0]
    assert (table.captions, table.tokens, table.factors) == (None, None, None)


@pytest.mark.parametrize(("factors", "expected"), [(2, [[7, 5], [8, 6]]), (0, [[3], [4]])])
def test_where_no_factors_are_known_the_labels_are_the_only_one(
    factors: int, expected: list[list[int]], tmp_path: Path
) -> None:
    data = DataFolder(tmp_path)
    write_array(data.factors("test"), np.array([[7, 5], [8, 6]])[:, :factors])
    write_array(data.labels("test"), np.array([3, 4]))
    assert read_factors(data, "test").tolist() == expected


def captioned() -> Table:
    """Three images; image i has the captions 2i and 2i + 1, text t the tokens (10 t, 10 t + 1)."""
    return Table(
        np.zeros((3, 1, 1, 1), np.uint8),
        np.arange(3),
        captions=np.arange(6).reshape(3, 2),
        tokens=np.array([[10 * t, 10 * t + 1] for t in range(6)]),
        factors=np.array([[i, 5 - i] for i in range(3)]),
    )


def test_captions_and_factors_go_with_their_images() -> None:
    """Caption i of image i where none is chosen; else the chosen ones, modulo their number."""
    which = np.array([2, 0, 1])
    batch = load(captioned(), which, "cpu")
    assert batch.tokens is not None and batch.factors is not None
    assert batch.tokens.tolist() == [[40, 41], [0, 1], [30, 31]]
    assert batch.factors.tolist() == [[2, 3], [0, 5], [1, 4]]
    chosen = load(captioned(), which, "cpu", np.array([1, 0, 4])).tokens
    assert chosen is not None
    assert chosen.tolist() == [[50, 51], [0, 1], [20, 21]]


def test_an_image_is_shown_with_each_of_its_captions_alike() -> None:
    """The same for any number of processes; five standard errors of a share of 1/2 in 1,500."""
    source = Batches(captioned(), 3, seed=0)
    halves = [Batches(captioned(), 3, seed=0, part=(rank, 2)) for rank in range(2)]
    second = []
    for k in range(500):
        whole = source[k]
        assert whole.tokens is not None
        second += [text // 10 % 2 for text in whole.tokens[:, 0].tolist()]
        for rank, half in enumerate(halves):
            tokens = half[k].tokens
            assert tokens is not None
            assert torch.equal(tokens, whole.tokens[rank::2])
    assert np.mean(second) == pytest.approx(0.5, abs=5 * 0.5 / 1500**0.5)
