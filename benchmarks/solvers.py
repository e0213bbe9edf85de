"""Solvers of the probability-flow ODE and of the reverse SDE at few network evaluations.

    python benchmarks/solvers.py
    python benchmarks/solvers.py --images 3200 --samples 200 --preset ddpm

One training, and every solver from the same noise.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from common import Row, held_out_distances, listed, machine, publish, table

import genlab
from genlab.app.process import keep_freed_memory

KARRAS, ALIGNED = {"spacing": "karras"}, {"spacing": "aligned"}
SDE = {"stochastic": True}
SOLVERS: list[tuple[str, str, int, dict[str, Any]]] = [
    ("DPM-Solver++(2M), EDM's spacing", "dpm-solver", 20, KARRAS),
    ("DPM-Solver++(2M), EDM's spacing", "dpm-solver", 10, KARRAS),
    ("UniPC of order 2, EDM's spacing", "unipc", 10, KARRAS),
    ("UniPC of order 3, EDM's spacing", "unipc", 10, {**KARRAS, "order": 3}),
    ("UniPC of order 3, EDM's spacing", "unipc", 12, {**KARRAS, "order": 3}),
    ("UniPC of order 3, even log-SNR", "unipc", 10, {"order": 3}),
    ("DPM-Solver++(2M), aligned", "dpm-solver", 8, ALIGNED),
    ("DPM-Solver++(2M), aligned", "dpm-solver", 10, ALIGNED),
    ("UniPC of order 2, aligned", "unipc", 10, ALIGNED),
    ("UniPC of order 3, aligned", "unipc", 10, {**ALIGNED, "order": 3}),
    ("SDE-DPM-Solver++(2M), EDM's spacing", "dpm-solver", 20, KARRAS | SDE),
    ("SDE-DPM-Solver++(2M), EDM's spacing", "dpm-solver", 14, KARRAS | SDE),
    ("SDE-DPM-Solver++(2M), EDM's spacing", "dpm-solver", 10, KARRAS | SDE),
    ("SDE-DPM-Solver++(2M), aligned", "dpm-solver", 8, ALIGNED | SDE),
    ("SDE-DPM-Solver++(2M), aligned", "dpm-solver", 10, ALIGNED | SDE),
    ("SDE-DPM-Solver++(2M), aligned", "dpm-solver", 12, ALIGNED | SDE),
]
"""Name, sampler, steps (an evaluation each) and settings."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--preset", default="flow", help="a model on a Gaussian path")
    parser.add_argument("--images", type=int, default=40_000, help="of training")
    parser.add_argument("--samples", type=int, default=1000, help="drawn by every solver")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    digits = genlab.load_data("digits")
    model = genlab.fit(options.preset, digits, images_seen=options.images, seed=options.seed)
    rows: list[Row] = []
    for name, sampler, steps, settings in SOLVERS:
        begun = time.perf_counter()
        samples = genlab.sample(
            model, sampler, options.samples, seed=options.seed, steps=steps, **settings
        )
        row: Row = {"sampler": name, "evaluations": steps, "s": time.perf_counter() - begun}
        rows.append(row | held_out_distances(samples.numpy(), digits))
        print(rows[-1], flush=True)
    here = machine(options.threads)
    conditions = (
        f"{options.preset} after {options.images:,} images, seed {options.seed}; "
        f"{options.samples} samples each; Frechet distances to the held-out digits.\n"
        f"{listed(here)}.\n"
    )
    publish("solvers", f"{table(rows)}\n{conditions}", {"machine": here, "rows": rows})


if __name__ == "__main__":
    main()
