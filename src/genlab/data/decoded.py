"""Pixels of many pictures, decoded on several threads into files that survive a kill.

Memory holds one block of pictures. The pixels of each split lie in a .npy file; a journal beside
them has one line for each block, with a checksum. A later call with the same key checks the blocks
and decodes only what is missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genlab.io.arrays import create_array
from genlab.io.files import write_text

BLOCK_PICTURES, BLOCK_BYTES = 1024, 2**26
"""Pictures and bytes of pixels in a block, at most."""


class Cache(NamedTuple):
    """A folder for decoded pictures.

    Attributes:
        folder: its path; it need not exist.
        inputs: digest of the raw files, and of the code that decodes them.
    """

    folder: Path
    inputs: str


class Block(NamedTuple):
    """Pictures that were decoded one after the other.

    Attributes:
        rows: numbers of the decoded pictures, those of the training split first.
        sha256: of their pixels, in hexadecimal.
        skipped: the reason for each unreadable picture by its number.
        transparent: how many of the decoded pictures have transparent pixels.
    """

    rows: list[int]
    sha256: str
    skipped: dict[int, str]
    transparent: int


class PixelFiles:
    """The pixels of the splits in a folder, uint8 [N, C, H, W] each, and the journal of blocks.

    Args:
        key: digest of all that decides the pixels; files of another key are deleted.
        counts: number of pictures by split.
        shape: (channels, height, width).

    Raises:
        GenLabError: the disk has not enough space.
    """

    def __init__(
        self, folder: Path, key: str, counts: dict[str, int], shape: tuple[int, ...]
    ) -> None:
        self.folder, self.counts, self.shape = folder, counts, shape
        self.journal = folder / "journal.jsonl"
        self.block = max(1, min(BLOCK_PICTURES, BLOCK_BYTES // int(np.prod(shape))))
        lines = self.journal.read_bytes().splitlines() if self.journal.exists() else []
        if lines[:1] == [json.dumps({"key": key}).encode()] and self._complete():
            self.blocks = [block for line in lines[1:] if (block := self._checked(line))]
        else:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for split, count in counts.items():
                create_array(self.path(split), (count, *shape), "uint8")
            self.blocks = []
        self._write_journal(key)

    def path(self, split: str) -> Path:
        """Return the path of a split's pixels."""
        return self.folder / f"{split}.npy"

    def add(self, pixels: dict[int, NDArray[np.uint8]], skipped: dict[int, str], n: int) -> None:
        """Write a block: the pixels [C, H, W] of each picture; `n` of them are transparent."""
        rows = list(pixels)
        values = np.empty((len(rows), *self.shape), np.uint8)
        for value, picture in zip(values, pixels.values(), strict=True):
            value[...] = picture
        for split, of_split, places in self._by_split(rows):
            file = np.load(self.path(split), mmap_mode="r+")  # closed, it occupies no memory
            file[places] = values[of_split]
            file.flush()
        self.blocks.append(Block(rows, hashlib.sha256(values.data).hexdigest(), skipped, n))
        with self.journal.open("a") as journal:
            journal.write(json.dumps(self.blocks[-1]) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    def kept(self, split: str) -> tuple[Path, NDArray[np.bool_]]:
        """Return the file of a split's decoded pictures, and which of the split these are, [N]."""
        skipped = [row for block in self.blocks for row in block.skipped]
        mask = np.ones(self.counts[split], dtype=bool)
        for name, _, places in self._by_split(skipped):
            if name == split:
                mask[places] = False
        if mask.all():
            return self.path(split), mask
        path, rows = self.path(f"{split}-kept"), np.flatnonzero(mask)
        path.unlink(missing_ok=True)  # an earlier one may be linked to as the images
        create_array(path, (len(rows), *self.shape), "uint8")
        for start in range(0, len(rows), self.block):
            part = slice(start, start + self.block)
            source = np.load(self.path(split), mmap_mode="r")
            np.load(path, mmap_mode="r+")[part] = source[rows[part]]
        return path, mask

    def _by_split(self, rows: list[int]) -> Iterator[tuple[str, NDArray[np.bool_], Any]]:
        """Yield for each split which of the `rows` are its own, and their places in its file."""
        numbers, first = np.array(rows, np.int64), 0
        for split, count in self.counts.items():
            mask = (numbers >= first) & (numbers < first + count)
            if mask.any():
                yield split, mask, numbers[mask] - first
            first += count

    def _complete(self) -> bool:
        """Return whether the files of all splits are there, in the right shape."""
        try:
            arrays = {split: np.load(self.path(split), mmap_mode="r") for split in self.counts}
        except (OSError, ValueError):
            return False
        return all(
            array.shape == (self.counts[split], *self.shape) and array.dtype == np.uint8
            for split, array in arrays.items()
        )

    def _checked(self, line: bytes) -> Block | None:
        """Return the block of a line of the journal; None if it or its pixels are damaged."""
        try:
            rows, sha256, skipped, transparent = json.loads(line)
            values = np.empty((len(rows), *self.shape), np.uint8)
            for split, of_split, places in self._by_split(rows):
                values[of_split] = np.load(self.path(split), mmap_mode="r")[places]
        except (OSError, ValueError, LookupError):
            return None
        if hashlib.sha256(values.data).hexdigest() != sha256:
            return None
        return Block(rows, sha256, {int(row): why for row, why in skipped.items()}, transparent)

    def _write_journal(self, key: str) -> None:
        """Write the key and the blocks that were checked, without torn lines."""
        lines = [json.dumps(content) for content in ({"key": key}, *self.blocks)]
        write_text(self.journal, "".join(f"{line}\n" for line in lines))
