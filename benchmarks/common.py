"""What the benchmarks share: the machine, copies of the checkout, tables, where results go."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import genlab
from genlab.api import ImageData
from genlab.io.files import write_json, write_text

CHECKOUT = Path(__file__).parents[1]
RESULTS = Path("results/benchmarks")
COPIED_PARTS = (
    "Snakefile", "benchmarks", "config", "docs", "envs", "profiles", "pyproject.toml", "rules",
    "src",
)  # fmt: skip
"""Files and folders of the checkout that a copy has"""

Row = dict[str, str | int | float]


def machine(threads: int) -> dict[str, str | int]:
    """What a figure of speed means nothing without."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": threads,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": importlib.metadata.version("torch"),
    }


def copy_checkout(copy: Path) -> None:
    """Copy what a study needs of the checkout to `copy`."""
    copy.mkdir()
    for part in COPIED_PARTS:
        if (CHECKOUT / part).is_dir():
            shutil.copytree(CHECKOUT / part, copy / part, symlinks=True)
        else:
            shutil.copy2(CHECKOUT / part, copy / part)


def environment_of(copy: Path, **variables: str) -> dict[str, str]:
    """The environment variables with which this Python's commands run the code of a copy."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(copy / "src"),
        **variables,
    }
    for name in ("MLFLOW_TRACKING_URI", "SNAKEMAKE_PROFILE", "GENLAB_WORKFLOW"):
        environment.pop(name, None)
    return environment


def listed(facts: Mapping[str, object]) -> str:
    """`facts`, such as those of `machine`, in one line."""
    return ", ".join(f"{key} {value}" for key, value in facts.items())


def table(rows: Sequence[Row]) -> str:
    """`rows` as a Markdown table; numbers to the right, fractions with three digits that count."""

    def text(value: str | int | float) -> str:
        if isinstance(value, float):
            return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
        return f"{value:,}" if isinstance(value, int) else value

    columns = list(rows[0])
    marks = ["---" if isinstance(rows[0][name], str) else "---:" for name in columns]
    lines = [columns, marks, *([text(row[name]) for name in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def publish(name: str, markdown: str, content: dict[str, Any]) -> None:
    """Print `markdown`, and write it and `content` to results/benchmarks/NAME.md and NAME.json."""
    write_text(RESULTS / f"{name}.md", markdown)
    write_json(RESULTS / f"{name}.json", content)
    print(f"\n{markdown}\nwritten to {RESULTS}/{name}.md and {name}.json")


def held_out_distances(samples: NDArray[np.uint8], data: ImageData) -> Row:
    """Frechet distances of samples [N, C, H, W] to held-out images, by feature space.

    The classifier and the contrastive encoder are trained on the training images at the first call.
    """
    return {
        name: genlab.evaluate(samples, data, extractor=name)["fid_held_out"] or float("nan")
        for name in ("classifier", "contrastive", "low-level")
    }
