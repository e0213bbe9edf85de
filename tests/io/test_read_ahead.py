"""Rows of an array on disk that the system reads before they are needed."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from genlab.io.arrays import read_ahead
from genlab.models.batches import Batches, Table

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs mincore and posix_fadvise")

SHAPE = (3, 64, 64)
COUNT = 8192  # 100 MB


@pytest.fixture
def images(tmp_path: Path) -> NDArray[np.uint8]:
    """Images on disk, hardly any of them in memory."""
    path = tmp_path / "images.npy"
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(COUNT, *SHAPE))
    file[...] = 7
    file.flush()
    del file
    mapped = np.load(path, mmap_mode="r")
    mapped._mmap.madvise(mmap.MADV_RANDOM)  # so that a page fault reads one page, on any disk
    with path.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if in_memory(mapped).any():
        pytest.skip("this file system keeps files in memory")
    return mapped


def in_memory(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which images are in memory as a whole, as the kernel says (mincore)."""
    assert isinstance(images, np.memmap)
    pages = -(-(images.offset + images.nbytes) // mmap.PAGESIZE)
    vector = (ctypes.c_ubyte * pages)()
    start, length = images.ctypes.data - images.offset, pages * mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(length), vector) == 0
    present = np.frombuffer(vector, np.uint8) & 1
    first = (images.offset + np.arange(len(images)) * images[0].nbytes) // mmap.PAGESIZE
    last = (images.offset + np.arange(1, len(images) + 1) * images[0].nbytes - 1) // mmap.PAGESIZE
    return np.array([present[a : b + 1].all() for a, b in zip(first, last, strict=True)])


def wait_for(images: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
    """Wait until these rows are in memory."""
    deadline = time.monotonic() + 10
    while not in_memory(images)[rows].all():
        assert time.monotonic() < deadline, "not read within 10 s"
        time.sleep(0.01)


def test_these_rows_are_read_and_few_others(images: NDArray[np.uint8]) -> None:
    """A page of 4 KB may hold the end of one image and the beginning of the next."""
    rows = np.arange(64, COUNT, 128)
    read_ahead(images, rows)
    wait_for(images, rows)
    assert in_memory(images).sum() <= 3 * len(rows)


@pytest.mark.parametrize("part", [(0, 1), (1, 2)])
def test_a_batch_lets_the_next_one_be_read(
    images: NDArray[np.uint8], part: tuple[int, int]
) -> None:
    """Of the images of this process."""
    batches = Batches(Table(images, np.zeros(COUNT, np.int64)), 16, seed=0, part=part)
    _ = batches[0]
    rank, processes = part
    wait_for(images, batches.indices(1)[rank::processes])
    assert not in_memory(images)[batches.indices(2)].all()


def test_an_array_in_memory_is_left_alone(images: NDArray[np.uint8]) -> None:
    """A copy too, which still has the type of a mapped array, but no file."""
    read_ahead(np.zeros((4, 3)), np.arange(4))
    rows = np.array([5000, 5001])
    read_ahead(images[:2].copy(), rows)
    time.sleep(0.2)
    assert not in_memory(images)[rows].any()
