"""Training speed from images in memory, and from images that must be read from disk.

    python benchmarks/mapped.py
    python benchmarks/mapped.py --gigabytes 30 --steps 300

RGB images of 64 x 64 pixels lie in a .npy file, as the stage `prepare` leaves them. Before each row
on disk the system forgets the file, so every image of a batch must be read: the worst case of an
array larger than memory. The rows differ in whether the next batch is read while a step computes,
as in `genlab train`. Needs Linux, and the file's size on disk.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import CHECKOUT, Row, listed, machine, publish, table
from numpy.typing import NDArray

from genlab.config.study import load_model
from genlab.models.base import Facts, build_model
from genlab.models.batches import Batches, Table
from genlab.training.optimisation import make_optimizers

SHAPE = (3, 64, 64)
WARM_UP = 3
"""Steps before those that are measured"""


def write_images(path: Path, count: int) -> None:
    """Write `count` images, and let none of them stay in memory."""
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *SHAPE))
    block = np.random.default_rng(0).integers(0, 256, (2048, *SHAPE), np.uint8)
    for start in range(0, count, len(block)):
        part = file[start : start + len(block)]
        part[...] = block[: len(part)]
        block[:, 0, 0, :8] = start // len(block) % 256
    file.flush()
    del file
    forget(path)


def forget(path: Path) -> None:
    """Let the system forget what it holds of a file in memory."""
    gc.collect()  # unmaps the arrays of earlier rows
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(preset: str, name: str, images: NDArray[np.uint8], steps: int, seed: int) -> Row:
    """The row of one preset that trains on these images, in an order that no other row has."""
    entry = load_model(preset, {}, CHECKOUT / "config", "benchmarks/mapped.py")
    training = entry.training
    model = build_model(entry.model, Facts(SHAPE, 1), seed=0)
    optimizers = make_optimizers(model, training)
    labels = np.zeros(len(images), np.int64)
    batches = Batches(Table(images, labels), training.batch_size, seed)
    loading, whole = [], []
    for k in range(WARM_UP + steps):
        begun = time.perf_counter()
        batch = batches[k]
        loaded = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(batch)["loss"]
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        loading.append(loaded - begun)
        whole.append(time.perf_counter() - begun)
    return {
        "preset": preset,
        "images": name,
        "ms for a batch": 1000 * statistics.median(loading[WARM_UP:]),
        "ms for a step": 1000 * statistics.median(whole[WARM_UP:]),
        "images/s": training.batch_size * steps / sum(whole[WARM_UP:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, default=4, help="size of the file")
    parser.add_argument("--steps", type=int, default=200, help="for each row")
    parser.add_argument("--presets", nargs="+", default=["vae", "ddpm"], metavar="PRESET")
    parser.add_argument("--folder", help="on the disk to be measured")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    count = int(options.gigabytes * 1e9) // int(np.prod(SHAPE))
    rows = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "images.npy"
        write_images(path, count)
        for preset in options.presets:
            in_memory = np.load(path, mmap_mode="r")[:20_000].copy()
            rows.append(
                measure(preset, "in memory", np.asarray(in_memory), options.steps, len(rows))
            )
            for name, ahead in (("on disk, read ahead", True), ("on disk", False)):
                forget(path)
                mapped = np.load(path, mmap_mode="r")
                # Of an array that doesn't know its file, nothing is read ahead.
                images = mapped if ahead else np.asarray(mapped)
                rows.append(measure(preset, name, images, options.steps, len(rows)))
                del mapped, images
    about = machine(options.threads)
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    conditions = (
        f"{count:,} images, {options.gigabytes:g} GB, memory {gigabytes:.0f} GB. "
        f"Medians of {options.steps} steps.\n{listed(about)}.\n"
    )
    publish("mapped", f"{table(rows)}\n{conditions}", {"machine": about, "rows": rows})


if __name__ == "__main__":
    main()
