"""Where a file differs first from another one that should hold the same."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Difference(NamedTuple):
    """A place where a file does not hold what it should.

    Attributes:
        file: the file, or the store.
        place: the byte, the element of an array, or the cell of a table.
        value: what is there.
        expected: what should be there.
    """

    file: Path | str
    place: str
    value: str
    expected: str

    def __str__(self) -> str:
        value, expected = (textwrap.shorten(v, 200) for v in (self.value, self.expected))
        return f"{self.file}: {self.place}: {value}, but expected {expected}"


def equal(value: object, expected: object) -> bool:
    """Whether two values are the same: numbers exactly, though one may be text; NaN is None is ''.

    The text of a number is that of `repr`, which reads back as the same float.
    """
    if _is_empty(value) or _is_empty(expected):
        return _is_empty(value) and _is_empty(expected)
    if isinstance(expected, str | bool):
        return str(value) == str(expected)
    try:
        return float(str(value)) == float(str(expected))
    except ValueError:
        return False


def _is_empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def mapping_difference(
    file: Path, content: Mapping[Any, Any], expected: Mapping[Any, Any], place: str = ""
) -> Difference | None:
    """The first key of a nested mapping that is missing, superfluous, or has another value.

    Lists are mappings from numbers.
    """
    for key in (*expected, *(key for key in content if key not in expected)):
        inside = f"{place}.{key}" if place else str(key)
        if key not in content or key not in expected:
            sides = (
                "missing" if key not in side else repr(side[key]) for side in (content, expected)
            )
            return Difference(file, inside, *sides)
        value, target = (
            dict(enumerate(side[key])) if isinstance(side[key], list) else side[key]
            for side in (content, expected)
        )
        if isinstance(value, dict) and isinstance(target, dict):
            if difference := mapping_difference(file, value, target, inside):
                return difference
        elif type(value) is not type(target) or value != target:
            return Difference(file, inside, repr(value), repr(target))
    return None


def array_difference(file: Path, expected: Path) -> Difference | None:
    """The first byte in which two .npy files differ, and the element that it belongs to."""
    if difference := _size_difference(file, expected):
        return difference
    at = _first_byte(file, expected)
    if at is None:
        return None
    target = np.load(expected, mmap_mode="r", allow_pickle=False)
    start = expected.stat().st_size - target.nbytes
    if at < start:
        return _byte(file, expected, at, "in its header")
    index = np.unravel_index((at - start) // target.itemsize, target.shape)
    value = np.memmap(file, target.dtype, "r", start, target.shape)[index]
    place = f"byte {at:,}, element [{', '.join(map(str, index))}]"
    return Difference(file, place, str(value), str(target[index]))


def archive_difference(file: Path, expected: Path) -> Difference | None:
    """The first element in which the arrays of two .npz files differ, or else the first byte."""
    with np.load(expected, allow_pickle=False) as targets:
        for name in targets.files:
            value, target = _array_of(file, name), targets[name]
            if value is None:
                return _byte_difference(file, expected, f"array '{name}' is damaged")
            if (value.dtype, value.shape) != (target.dtype, target.shape):
                kinds = (f"{array.dtype} {list(array.shape)}" for array in (value, target))
                return Difference(file, f"array '{name}'", *kinds)
            differing = np.argwhere(value != target)
            if len(differing):
                index = tuple(differing[0])
                place = f"array '{name}', element [{', '.join(map(str, index))}]"
                return Difference(file, place, str(value[index]), str(target[index]))
    return _byte_difference(file, expected, "outside of its arrays")


def _array_of(file: Path, name: str) -> NDArray[Any] | None:
    """An array of a .npz file; None where it can't be read, in one of many ways."""
    try:
        with np.load(file, allow_pickle=False) as values:
            array: NDArray[Any] = values[name]
    except Exception:
        return None
    return array


def _byte_difference(file: Path, expected: Path, where: str) -> Difference | None:
    """The first byte in which two files differ, or their sizes."""
    if difference := _size_difference(file, expected):
        return difference
    at = _first_byte(file, expected)
    return None if at is None else _byte(file, expected, at, where)


def _size_difference(file: Path, expected: Path) -> Difference | None:
    sizes = [path.stat().st_size for path in (file, expected)]
    if sizes[0] == sizes[1]:
        return None
    return Difference(file, "size", *(f"{size:,} bytes" for size in sizes))


def _first_byte(file: Path, expected: Path) -> int | None:
    """The first byte in which two files of one size differ."""
    differs = np.memmap(file, np.uint8, "r") != np.memmap(expected, np.uint8, "r")
    return int(differs.argmax()) if differs.any() else None


def _byte(file: Path, expected: Path, at: int, where: str) -> Difference:
    values = (str(np.memmap(path, np.uint8, "r")[at]) for path in (file, expected))
    return Difference(file, f"byte {at:,}, {where}", *values)
