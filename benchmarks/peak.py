"""Share of the processor's peak, in matrix products, that training and sampling reach.

    snakemake --cores all                       # or another study, with --study
    python benchmarks/peak.py --threads 1

For the run of seed 0 of each model of a study: the floating-point operations of a training step and
of a batch of samples, divided by their times. PyTorch counts the operations. A step counts as three
forward passes, one for the forward and two for the backward pass; its time includes the optimiser.
The peak is the speed of the product of two large matrices, on the same threads and in the same
precision.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from common import Row, listed, machine, publish, table
from torch.utils.flop_counter import FlopCounterMode

from genlab.app.process import keep_freed_memory
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder, SampleFolder, StudyFolder
from genlab.results.spec import read_run, read_runs, read_samples
from genlab.sampling.draw import draw, precision_of
from genlab.training.trainer import make_accelerator
from genlab.workflow.captions import captions_of
from genlab.workflow.models import load_trained
from genlab.workflow.train import begin_training

SIDE = 2048
"""Rows and columns of the matrices of the peak"""
BATCH_SIZE = 100
"""Samples of a batch, as many as the stage `sample` draws at a time"""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of the products and convolutions of a call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def median_seconds(work: Callable[[], object], calls: int) -> float:
    """Median time of a call; the first one is not counted."""
    work()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def peaks() -> dict[str, float]:
    """Operations per second of the product of two square matrices, by precision."""
    speeds = {}
    for name, dtype in DTYPES.items():
        a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
        speeds[name] = 2 * SIDE**3 / median_seconds(partial(torch.mm, a, b), 10)
    return speeds


def measure_training(run: RunFolder, steps: int, peak: dict[str, float]) -> Row:
    """Measure the first steps of a training of the run."""
    spec = read_run(run.config)
    accelerator = make_accelerator(spec.training.precision, True, spec.training.tf32)
    state = begin_training(run, spec, accelerator)
    for _ in range(3):  # the first ones take longer
        state.step()
    batch = state.batches[0]._replace(progress=1.0)
    # Three forward passes: PyTorch's own count of a backward pass ignores groups of convolutions.
    count = 3 * operations(lambda: state.wrapped(batch))
    speed = count / median_seconds(state.step, steps)
    return {
        "trained in": state.precision,
        "GFLOP of a step": count / 1e9,
        "training, GFLOP/s": speed / 1e9,
        "training, % of peak": 100 * speed / peak[state.precision],
    }


def measure_sampling(at: SampleFolder, calls: int, peak: dict[str, float]) -> Row:
    """Measure the drawing of a batch of samples of a row."""
    model, spec = load_trained(at.run), read_samples(at.config)
    sampler = spec.sampler
    assert sampler is not None
    noise = SampleNoise(spec.seed, range(BATCH_SIZE))
    takes_prompts = model.config.takes_prompts
    tokens = captions_of(at.run.data, noise).tokens if takes_prompts else None
    with torch.no_grad():
        count = operations(lambda: draw(model, sampler, noise, tokens))
        speed = count / median_seconds(lambda: draw(model, sampler, noise, tokens), calls)
    precision = precision_of(sampler, "cpu")
    return {
        "row": at.folder.name,
        "drawn in": precision,
        "GFLOP of an image": count / BATCH_SIZE / 1e9,
        "sampling, GFLOP/s": speed / 1e9,
        "sampling, % of peak": 100 * speed / peak[precision],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--study", type=Path, default=Path("results/default"), help="its folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=40, help="steps of training to time")
    parser.add_argument("--calls", type=int, default=3, help="batches of samples to time")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    peak = peaks()
    rows: list[Row] = []
    for run in read_runs(StudyFolder(options.study.resolve())):
        configs = list(run.folder.glob("samples/*/config.yaml"))
        if not configs or run.folder.name != "seed0":
            continue
        at = SampleFolder(min(configs).parent)
        rows.append(
            {"model": run.folder.parent.name}
            | measure_training(run, options.steps, peak)
            | measure_sampling(at, options.calls, peak)
        )
        print(rows[-1], flush=True)
    about = machine(options.threads)
    speeds = ", ".join(f"{name} {value / 1e9:.0f} GFLOP/s" for name, value in peak.items())
    conditions = (
        f"Peak, a product of {SIDE} x {SIDE} matrices: {speeds}. Medians of {options.steps} steps "
        f"and of {options.calls} batches of {BATCH_SIZE} samples.\n{listed(about)}.\n"
    )
    publish("peak", f"{table(rows)}\n{conditions}", {"machine": about, "peak": peak, "rows": rows})


if __name__ == "__main__":
    main()
