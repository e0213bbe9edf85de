"""What depends on an array alone is computed once, and forgotten with the array."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.array_cache import cached_per_array


def test_results_live_as_long_as_their_array(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    @cached_per_array
    def scaled(array: NDArray[np.float64], factor: int = 1) -> NDArray[np.float64]:
        calls.append((len(array), factor))
        return array * factor

    a, b = np.ones(2), np.ones(3)
    first = scaled(a, 2)
    assert scaled(a, 2) is first
    scaled(a, 3)
    scaled(b, 2)
    assert calls == [(2, 2), (2, 3), (3, 2)]

    forgotten = weakref.ref(first)
    del a, first
    gc.collect()
    assert forgotten() is None
    scaled(b, 2)
    assert len(calls) == 3

    np.save(tmp_path / "c.npy", np.ones(4))
    mapped = np.load(tmp_path / "c.npy", mmap_mode="r")
    assert scaled(mapped, 5) is scaled(mapped, 5)
