"""How long Snakemake plans a large study, and how much memory that takes.

    python benchmarks/planning.py
    python benchmarks/planning.py --seeds 2 --once

Plans (`snakemake -n`) 10 models x 5 data sets x 2, 6 and 20 seeds in a temporary copy of the
checkout, of which nothing has run. Memory is the largest resident set of the process.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from common import Row, copy_checkout, environment_of, listed, machine, publish, table

REPETITIONS = 3
STUDY: dict[str, Any] = {
    "name": "planned",
    "datasets": ["digits", "digits-640", "digits-320", "mnist", "fashion_mnist"],
    "models": [
        "ddpm", "score-sde", "edm", "flow", "dit",
        "vae-bernoulli", "vae-logistic", "beta-vae", "glow", "realnvp",
    ],
    "samplers": {
        "prior": {"sampler": "prior"},
        "dpm-20": {"sampler": "dpm-solver", "steps": 20},
    },
    "evaluation": {"samples": 256, "extractors": ["low-level", "pixel-pca"]},
}  # fmt: skip


def plan(copy: Path, seeds: int) -> tuple[int, float, float, float]:
    """Jobs, seconds, seconds of a processor, and mebibytes of one dry run."""
    file = copy / "config/studies/planned.yaml"
    file.write_text(yaml.safe_dump({**STUDY, "seeds": list(range(seeds))}), encoding="utf-8")
    command = [
        "snakemake",
        *("-n", "--cores", "2", "--configfile", str(file)),
    ]
    with tempfile.TemporaryFile("w+") as output:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=copy, env=environment_of(copy), stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        output.seek(0)
        text = output.read()
    total = re.search(r"^(\d+) jobs would run", text, re.M)
    if status or total is None:
        sys.exit(f"{' '.join(command)} failed:\n{text[-4000:]}")
    return int(total[1]), seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 6, 20])
    parser.add_argument("--once", action="store_true", help="one dry run each, not three")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        copy_checkout(copy)
        for seeds in options.seeds:
            plans = [plan(copy, seeds) for _ in range(1 if options.once else REPETITIONS)]
            jobs, seconds, computing, memory = zip(*plans, strict=True)
            rows.append(
                {
                    "runs": len(STUDY["models"]) * len(STUDY["datasets"]) * seeds,
                    "jobs": jobs[0],
                    "dry run s, median": statistics.median(seconds),
                    "of it on a core s, median": statistics.median(computing),
                    "memory MiB, largest": max(memory),
                }
            )
    about = machine(1)
    conditions = f"{listed(about)}.\n"
    publish("planning", f"{table(rows)}\n{conditions}", {"machine": about, "rows": rows})


if __name__ == "__main__":
    main()
