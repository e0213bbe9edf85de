"""Memory and speed of the stage `prepare` on own pictures, by their number and by threads.

    python benchmarks/prepare.py
    python benchmarks/prepare.py --pictures 200000 --threads 1 2 4

Smooth JPEG files of twice the side are scaled and stored. Memory is the largest resident size of
the process, memory-mapped pages among it (Linux). Needs three times the size of the pixels on disk.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import yaml
from common import Row, machine, publish, table
from PIL import Image, ImageFilter

from genlab.io.files import write_text

DIFFERENT = 500  # pictures; the archive repeats them under other names

MEASURED = """
import sys, time
from pathlib import Path
from genlab.results.layout import DataFolder
from genlab.workflow.prepare import prepare
prepare(DataFolder(Path(sys.argv[1])))
print(time.process_time())
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
"""Prints seconds of the processor and the peak memory in KiB; `resource` would count the parent."""


def write_archive(path: Path, pictures: int, side: int) -> None:
    """Write a zip of smooth random RGB pictures of 2 `side` x 2 `side` pixels."""
    random = np.random.default_rng(0)
    contents = []
    for _ in range(min(pictures, DIFFERENT)):
        noise = Image.fromarray(random.integers(0, 256, (2 * side, 2 * side, 3), np.uint8))
        file = io.BytesIO()
        noise.filter(ImageFilter.GaussianBlur(side / 16)).save(file, "JPEG", quality=90)
        contents.append(file.getvalue())
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(pictures):
            archive.writestr(f"{i % 10}/{i:07}.jpg", contents[i % len(contents)])


def measure(archive: Path, side: int, threads: int, root: Path) -> Row:
    """Prepare the pictures of `archive` in a process of its own."""
    folder = root / f"threads{threads}"
    values = {"source": "image_folder", "path": str(archive), "size": side, "resize": True}
    write_text(folder / "config.yaml", yaml.safe_dump(values))
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    fetch = [sys.executable, "-m", "genlab", "fetch", "--config", str(folder / "config.yaml")]
    subprocess.run(fetch, check=True, stdout=subprocess.DEVNULL)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(folder)],
        check=True, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    manifest = json.loads((folder / "manifest.json").read_text())
    pictures = sum(manifest[split]["images"] for split in ("train", "test"))
    processor, memory = done.stdout.split()[-2:]
    return {
        "threads": threads,
        "pictures": pictures,
        "pixels MB": pictures * 3 * side**2 / 1e6,
        "seconds": seconds,
        "processor seconds": float(processor),
        "pictures/s": pictures / seconds,
        "peak memory MB": int(memory) * 1024 / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--side", type=int, default=64, help="of the prepared images in pixels")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path, help="for the files; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        root = Path(name)
        write_archive(root / "own.zip", arguments.pictures, arguments.side)
        rows = [
            measure(root / "own.zip", arguments.side, threads, root)
            for threads in arguments.threads
        ]
    content = {"machine": machine(max(arguments.threads)), "rows": rows}
    publish("prepare", table(rows), content)


if __name__ == "__main__":
    main()
