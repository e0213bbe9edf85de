"""The user's own pictures in a folder, zip or tar (layouts: `genlab.config.picture_layout`)."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from tqdm import tqdm

from genlab.config.base import short_hash
from genlab.config.picture_archives import UNREADABLE, Member
from genlab.config.picture_files import members
from genlab.config.picture_layout import Layout
from genlab.config.picture_names import PictureError, examples, is_picture, printable
from genlab.config.sources.image_folder import ImageFolderConfig
from genlab.data.arrays import Source, Split
from genlab.data.decoded import Cache, PixelFiles
from genlab.data.decoding import load_picture, to_pixels
from genlab.errors import GenLabError

LINE_SECONDS = 10  # between two lines on progress in a log

Picture = tuple[NDArray[np.uint8], bool]
"""Pixels [C, H, W], and whether some are transparent."""


def fetch(config: ImageFolderConfig, raw: Path) -> list[Path]:
    """Return the archive, or every picture of the folder; nothing is copied to `raw`."""
    for remark in config.layout.remarks:
        print(f"{config.path}: {remark}")
    if config.rows and (unused := len(config.rows.rows) - len(config.listing.pictures)):
        print(f"{config.rows.where}: {unused} rows are ignored, as there are no such pictures")
    return config.own_files


def read(config: ImageFolderConfig, files: list[Path], cache: Cache | None = None) -> Source:
    """Decode the pictures of both splits.

    Args:
        cache: keeps decoded pictures for the next call, and holds the arrays, which are then
            memory-mapped; without one they are in memory.

    Raises:
        GenLabError: more pictures are unreadable than the config allows, or one is of another size
            or colour mode.
    """
    path = Path(config.path)
    names = config.listing.pictures
    if path.is_dir():  # as `fetch` listed it
        names = [str(file.relative_to(path)) for file in files if is_picture(file.name)]
    layout = config.arrange(names)
    with tempfile.TemporaryDirectory() as temporary:
        folder, inputs = cache or Cache(Path(temporary) / "decoded", "")
        counts = {"train": len(layout.train), "test": len(layout.test)}
        pixels = PixelFiles(folder, _key(config, layout, inputs), counts, config.shape)
        _decode_all(config, layout, pixels)
        train, test = (
            _split(config, layout, pixels, name, mapped=cache is not None) for name in counts
        )
    if empty := {label for _, label in layout.train} - {*train.labels.tolist()}:
        raise GenLabError(
            f"{path}: all training pictures of the class '{layout.classes[min(empty)]}' are "
            "unreadable; mend them, or remove the class"
        )
    order = [name for name, _ in layout.train + layout.test]
    skipped = {order[i]: why for block in pixels.blocks for i, why in block.skipped.items()}
    return Source(train, test, layout.classes, skipped=_report(config, pixels, skipped))


def _key(config: ImageFolderConfig, layout: Layout, inputs: str) -> str:
    """Return a digest of all that decides the pixels and their order."""
    names = [os.fsencode(name).hex() for name, _ in layout.train + layout.test]
    settings = (config.shape, config.resize, config.convert, config.background, len(layout.train))
    return short_hash(inputs, PIL.__version__, repr(settings), *names)


def _split(
    config: ImageFolderConfig, layout: Layout, pixels: PixelFiles, name: str, mapped: bool
) -> Split:
    """Return a split without the pictures that were skipped."""
    file, mask = pixels.kept(name)
    pictures = [picture for picture, kept in zip(getattr(layout, name), mask, strict=True) if kept]
    images: NDArray[np.uint8] = np.load(file, mmap_mode="r" if mapped else None)
    labels = np.array([label for _, label in pictures], np.int64)
    return Split(
        images,
        labels,
        _factors(config, [picture for picture, _ in pictures]),
        config.captions_of(pictures, layout.classes),
        file if mapped else None,
    )


def _factors(config: ImageFolderConfig, names: list[str]) -> NDArray[np.int64] | None:
    """Return the values of the factors, int64 [N, K], or None if none are known."""
    if not config.factors:
        return None
    index = {
        column: {value: i for i, value in enumerate(values)}
        for column, values in config.values.items()
    }
    fields = config.fields(names)
    rows = [[index[column][fields[name][column]] for column in index] for name in names]
    return np.array(rows, np.int64).reshape(-1, len(index))


def _report(
    config: ImageFolderConfig, pixels: PixelFiles, skipped: dict[str, str]
) -> dict[str, str]:
    """Print what was skipped and converted; return the reasons by printable name."""
    for name, reason in skipped.items():
        print(f"{config.path}: {printable(name)}: skipped: {reason}")
    if transparent := sum(block.transparent for block in pixels.blocks):
        print(f"{config.path}: {transparent} transparent pictures; background: {config.background}")
    return {printable(name): reason for name, reason in skipped.items()}


def _decode_all(config: ImageFolderConfig, layout: Layout, pixels: PixelFiles) -> None:
    """Decode the pictures that `pixels` lacks, block by block.

    Raises:
        GenLabError: too many are unreadable, or one is of another size or colour mode.
    """
    number = {name: i for i, (name, _) in enumerate(layout.train + layout.test)}
    total = len(number)
    done = {i for block in pixels.blocks for i in (*block.rows, *block.skipped)}
    missing = {name: i for name, i in number.items() if i not in done}
    left = {*missing}
    _check_skipped(config, layout, pixels)
    if done:
        print(f"{config.path}: {len(done):,} of {total:,} pictures are decoded already")
    if not missing:
        return
    decoded: dict[int, NDArray[np.uint8]] = {}
    skipped: dict[int, str] = {}
    transparent, last = 0, time.monotonic()
    terminal = sys.stderr.isatty()  # a progress bar on a terminal, plain lines in a log
    with tqdm(total=total, initial=len(done), unit="picture", disable=not terminal) as bar:
        for name, result in _decoded(config, members(Path(config.path), missing)):
            i = missing[name]
            left.remove(name)
            if isinstance(result, PictureError):
                skipped[i] = str(result)
            else:
                decoded[i] = result[0]
                transparent += result[1]
            bar.update()
            if len(decoded) + len(skipped) < pixels.block and left:
                continue
            pixels.add(decoded, skipped, transparent)
            _check_skipped(config, layout, pixels)
            decoded, skipped, transparent = {}, {}, 0
            if not terminal and time.monotonic() - last > LINE_SECONDS:
                print(f"{total - len(left):,} of {total:,} pictures", flush=True)
                last = time.monotonic()
    if left:
        raise GenLabError(f"{config.path}: {examples(sorted(left))}: no such file any more")


def _decoded(
    config: ImageFolderConfig, files: Iterator[Member]
) -> Iterator[tuple[str, Picture | PictureError]]:
    """Yield pictures in the order of reading, decoded on as many threads as the job may use."""

    def decode(content: bytes) -> Picture | PictureError:
        try:
            picture = load_picture(content)
            return to_pixels(picture, config), picture.has_transparency_data
        except PictureError as error:
            return error

    def result(
        name: str, future: Future[Picture | PictureError]
    ) -> tuple[str, Picture | PictureError]:
        try:
            return name, future.result()
        except GenLabError as error:
            raise GenLabError(f"{config.path}: {printable(name)}: {error}") from None

    threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    waiting: deque[tuple[str, Future[Picture | PictureError]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for name, read_content in files:
            try:
                waiting.append((name, pool.submit(decode, read_content())))
            except UNREADABLE as error:
                waiting.append((name, Future()))
                waiting[-1][1].set_result(PictureError(f"can't be read ({error})"))
            if len(waiting) > 4 * threads:  # enough to keep all busy, few enough for the memory
                yield result(*waiting.popleft())
        while waiting:
            yield result(*waiting.popleft())


def _check_skipped(config: ImageFolderConfig, layout: Layout, pixels: PixelFiles) -> None:
    """Refuse more unreadable pictures than the config allows."""
    pictures = layout.train + layout.test
    skipped = {pictures[i][0]: why for block in pixels.blocks for i, why in block.skipped.items()}
    if len(skipped) <= config.unreadable:
        return
    first, *others = skipped
    more = f", and {len(others)} more such as {examples(others)}" if others else ""
    raise GenLabError(
        f"{config.path}: {printable(first)}: {skipped[first]}{more}; remove or replace what is "
        f"unreadable, or allow more than `unreadable: {config.unreadable}` to be skipped"
    )
