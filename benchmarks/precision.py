"""What precision and compilation do to the speed of GenLab's U-Net.

    python benchmarks/precision.py
    python benchmarks/precision.py --seconds 5 --only fp32 bf16

Each row trains config/models/ddpm.yaml on the digits and then draws from it with ddim-50, both for
some seconds. The first step of training, in which torch.compile does its work, has a column of its
own, and so no part in the speeds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from common import CHECKOUT, Row, listed, machine, publish, table
from torch import Tensor

from genlab.config.samplers.ddim import DDIMSampler
from genlab.config.sources.digits import DigitsConfig
from genlab.config.study import load_model
from genlab.data.sources.digits import fetch, read
from genlab.models.base import Facts, build_model
from genlab.models.batches import Batches, Table
from genlab.models.ddpm import DDPM
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import draw
from genlab.training.optimisation import ema_decay, make_optimizers, update_ema

STEPS = 50
DRAWN = 100  # images drawn at a time


class Variant(NamedTuple):
    """One way to run the same network."""

    bf16: bool = False
    compile: bool = False


VARIANTS = {
    "fp32": Variant(),
    "fp32, compile": Variant(compile=True),
    "bf16": Variant(bf16=True),
    "bf16, compile": Variant(bf16=True, compile=True),
}


def seconds_each(work: Callable[[], object], seconds: float) -> float:
    """The mean time of a call, over as many as fit into `seconds`, at least one."""
    calls, begun = 0, time.perf_counter()
    while calls == 0 or time.perf_counter() - begun < seconds:
        work()
        calls += 1
    return (time.perf_counter() - begun) / calls


def measure(name: str, seconds: float, batches: Batches) -> Row:
    """The row of one variant: seconds of the first step, and both speeds."""
    variant = VARIANTS[name]
    entry = load_model("ddpm", {}, CHECKOUT / "config", "benchmarks/precision.py")
    training = entry.training
    model = build_model(entry.model, Facts((1, 28, 28), 10), seed=0)
    if not isinstance(model, DDPM):
        raise TypeError(f"config/models/ddpm.yaml names a {type(model).__name__}")
    if variant.compile:
        model.compile()  # for the loss
        model.network.compile()  # for the sampler
    optimizers = make_optimizers(model, training)
    ema = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    precision = torch.autocast("cpu", torch.bfloat16, enabled=variant.bf16)

    def step() -> None:
        """The work of one step of `genlab train`."""
        with precision:
            loss = model(batches[0])["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        update_ema(ema, model.state_dict(), ema_decay(training.ema, 0))

    def sample(steps: int = STEPS) -> Tensor:
        sampler = DDIMSampler(steps=steps, precision="bf16" if variant.bf16 else "fp32")
        return draw(model, sampler, SampleNoise(0, range(DRAWN))).images

    first = seconds_each(step, 0)
    trained = seconds_each(step, seconds)
    model.eval()
    sample(steps=1)
    drawn = seconds_each(sample, seconds)
    return {
        "variant": name,
        "first step s": first,
        "training images/s": training.batch_size / trained,
        "sampling images/s": DRAWN / drawn,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20, help="for each of both speeds")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS),
                        metavar="VARIANT", help=f"of {'; '.join(VARIANTS)}")  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = DigitsConfig()
    digits = read(config, fetch(config, CHECKOUT)).train
    training = load_model("ddpm", {}, CHECKOUT / "config", "benchmarks/precision.py").training
    batches = Batches(Table(digits.images, digits.labels), training.batch_size, seed=0)
    rows = [measure(name, options.seconds, batches) for name in options.only]
    about = machine(options.threads)
    conditions = (
        f"{options.seconds:g} s each, training in batches of {training.batch_size}, sampling "
        f"{DRAWN} images at a time in {STEPS} steps.\n"
        f"{listed(about)}.\n"
    )
    content = {"machine": about, "seconds": options.seconds, "rows": rows}
    publish("precision", f"{table(rows)}\n{conditions}", content)


if __name__ == "__main__":
    main()
