"""A model of GenLab beside other libraries' on the same digits: the sides of a comparison.

A side trains a network step by step and then draws from it. `compare` gives every side the same
4,000 digits in the same order, the same batch size, the same threads and the same seconds of
training; making its objects and its first steps are not counted. Then each draws images, and the
Frechet distance of those to the training digits is measured in the features of a classifier that
was trained on real digits alone. Held-out real digits, as many, give the floor.
"""

from __future__ import annotations

import argparse
import functools
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.state import AcceleratorState
from common import CHECKOUT, RESULTS, Row, listed, machine, publish, table
from torch import Tensor, nn

from genlab.app.process import keep_freed_memory
from genlab.config.samplers import SamplerConfig
from genlab.config.study import load_study
from genlab.data.pictures import GRID, save_grid
from genlab.evaluation.metrics import fid
from genlab.io.arrays import read_array, write_array
from genlab.models.base import Facts, Model, build_model
from genlab.models.batches import Batches, Table, to_uint8
from genlab.models.store import save_model
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder, SampleFolder, StudyFolder
from genlab.results.origin import KEY, run_origin
from genlab.results.spec import RunSpec, read_run, study_specs, write_specs
from genlab.sampling.draw import draw
from genlab.training.trainer import Training, make_accelerator
from genlab.workflow.calibration import calibrate
from genlab.workflow.feature_files import features_origin, read_features, reference_features
from genlab.workflow.features import features
from genlab.workflow.fetch import fetch
from genlab.workflow.models import load_trained
from genlab.workflow.prepare import prepare
from genlab.workflow.train import begin_training

WARM_UP = 3  # training steps before the clock starts
DRAWN = 100  # images drawn at a time
HELD_OUT = 1000  # digits that are not trained on, which give the floor
DIGITS, PIXELS = "digits", 28

Sampler = Callable[[range], Tensor]
"""Draws the images of these numbers, float [B, C, H, W] on [0, 1]."""
Entry = str | dict[str, Any]
"""A model of GenLab in a study: a preset, or one with changes."""


def by_adamw(preset: str) -> dict[str, Any]:
    """The preset trained by AdamW alone, as the other libraries' examples are, as PRESET-adamw."""
    return {"preset": preset, "name": f"{preset}-adamw", "training": {"optimizer": "adamw"}}


class Side(Protocol):
    """A library that trains a network and draws from it."""

    network: nn.Module

    def step(self, share: float) -> None:
        """One step of training, when this share of the time is spent."""
        ...

    def samplers(self) -> dict[str, Sampler]:
        """Its samplers by name, once it is trained."""
        ...


def spec_of(study: StudyFolder, model: str) -> RunSpec:
    """How GenLab's preset is built and trained; all sides share its batch size."""
    return read_run(study.run(DIGITS, model, 0).config)


def parameters(network: nn.Module) -> int:
    """How many it trains; those of a frozen first stage aren't counted."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def nearest(networks: Iterable[nn.Module], size: int) -> Any:
    """The network with the number of parameters nearest to `size`, at most a quarter away."""
    found = min(networks, key=lambda network: abs(parameters(network) - size))
    if abs(parameters(found) - size) > size / 4:
        sys.exit(f"no {type(found).__name__} here has about {size:,} parameters; add a width")
    return found


def make_training(run: RunFolder) -> Training:
    """The state of `genlab train` before its first step."""
    spec = read_run(run.config)
    # The classifier has been trained in this process, perhaps in another precision.
    AcceleratorState._reset_state(reset_partial_state=True)
    return begin_training(run, spec, make_accelerator(spec.training.precision, cpu=True))


def save_trained(run: RunFolder, training: Training) -> None:
    """Write the weights as `genlab train` does."""
    save_model(run.weights, training.model, training.ema, {KEY: run_origin(run)})


class GenLab:
    """A preset, trained by GenLab's own step.

    Args:
        rows: the samplers that it is drawn from with, by their names.
    """

    def __init__(self, study: StudyFolder, model: str, rows: dict[str, SamplerConfig]) -> None:
        self.rows = rows
        self.run = study.run(DIGITS, model, 0)
        self.training = make_training(self.run)
        self.network: nn.Module = self.training.model

    def step(self, share: float) -> None:
        state = self.training
        seen = (state.progress.step + 1) * state.training.batch_size
        # The budget in images of which just this share is done, so that the rate follows the time.
        images = {"images": math.ceil(seen / share)}
        state.training = state.training.model_copy(update=images)
        state.step()

    def trained(self) -> Model:
        """The model as `genlab sample` would load it: saved, and with averaged weights."""
        save_trained(self.run, self.training)
        return load_trained(self.run)

    def samplers(self) -> dict[str, Sampler]:
        model = self.trained()

        def drawn(sampler: SamplerConfig, which: range) -> Tensor:
            return draw(model, sampler, SampleNoise(0, which)).images

        return {name: functools.partial(drawn, row) for name, row in self.rows.items()}


class Peer:
    """What other libraries share: the batches of `model`, and how many parameters it has."""

    def __init__(self, study: StudyFolder, model: str) -> None:
        self.spec, data = spec_of(study, model), study.data(DIGITS)
        self.size = parameters(build_model(self.spec.model, Facts((1, PIXELS, PIXELS), 10), seed=0))
        self.batches = Batches(
            Table(read_array(data.images("train")), read_array(data.labels("train"))),
            self.spec.training.batch_size, seed=0,
        )  # fmt: skip
        self.steps = 0

    def next_images(self) -> Tensor:
        """The next batch, float32 [B, C, H, W] on [0, 1]."""
        self.steps += 1
        return self.batches[self.steps - 1].images


def train_classifier(at: StudyFolder) -> None:
    """Train the classifier of the digits, and put the training digits through it."""
    run = at.classifier(DIGITS)
    training = make_training(run)
    while training.progress.step < training.training.steps:
        training.step()
    print(f"classifier: accuracy {training.finish().losses['accuracy']:.3f} on held-out digits")
    save_trained(run, training)
    features(at, DIGITS, at.data(DIGITS).images("train"), at.reference(DIGITS, "train"), cpu=True)


def make_study(
    results: Path, models: Sequence[Entry], sampler: dict[str, Any], samples: int
) -> StudyFolder:
    """Prepare the digits, and train the classifier in whose features all sides are measured.

    Args:
        models: of GenLab, as a study names them.
        sampler: one that fits them; a study must have one, whatever the sides draw with.
    """
    values: dict[str, Any] = {
        "name": "benchmark",
        "datasets": [DIGITS],
        "models": list(models),
        "samplers": {"any": sampler},
        "evaluation": {
            "samples": min(samples, HELD_OUT),
            "calibration": ["real"],
            "extractors": ["classifier"],
            "classifier": {"images": 40_000},
        },
    }
    study = load_study(values, CHECKOUT / "config", "benchmarks")
    write_specs(study_specs(study, results))
    at = StudyFolder(results / study.name)
    fetch(at.data(DIGITS))
    prepare(at.data(DIGITS))
    train_classifier(at)
    calibrate(at.calibration_row(DIGITS, "real"))
    return at


def train(side: Side, seconds: float) -> tuple[int, float]:
    """Train for `seconds`; returns the steps that were made and the seconds they took."""
    for _ in range(WARM_UP):
        side.step(1e-3)
    steps, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        side.step(max(spent / seconds, 1e-3))
        steps += 1
    return steps, time.perf_counter() - begun


@torch.no_grad()
def sample(sampler: Sampler, samples: int, path: Path) -> float:
    """Draw `samples` images to `path` as uint8; returns the seconds after a warm-up."""
    sampler(range(min(DRAWN, samples)))
    begun = time.perf_counter()
    starts = range(0, samples, DRAWN)
    drawn = [to_uint8(sampler(range(i, min(i + DRAWN, samples)))) for i in starts]
    seconds = time.perf_counter() - begun
    write_array(path, torch.cat(drawn).numpy())
    return seconds


def frechet(study: StudyFolder, row: SampleFolder, pictures: Path) -> float:
    """The Frechet distance of a row's samples to the training digits, in the classifier's features.

    Also leaves a grid of the samples in the folder `pictures`.
    """
    path = row.features("classifier")
    features(study, DIGITS, row.samples, path.parent, cpu=True)
    generated = read_features(path, features_origin(study, DIGITS, "classifier", row.samples))
    real = reference_features(study, DIGITS, "classifier", "train")
    save_grid(pictures / f"{row.folder.name}.png", read_array(row.samples)[:GRID], columns=8)
    distance = fid.frechet(generated["features"], real["features"])
    if distance is None:
        raise ValueError("fewer samples than features")
    return distance


def run_side(
    name: str, side: Side, study: StudyFolder, batch_size: int, seconds: float, samples: int,
    pictures: Path,
) -> list[Row]:  # fmt: skip
    """Train one side and draw from it; a row for each of its samplers."""
    steps, spent = train(side, seconds)
    size = parameters(side.network)
    print(f"{name}: {size:,} parameters, {steps} steps in {spent:.1f} s")
    rows: list[Row] = []
    for kind, sampler in side.samplers().items():
        at = study.run(DIGITS, name, 0).samples(f"{name}-{kind}")
        drawing = sample(sampler, samples, at.samples)
        rows.append(
            {
                "library": name,
                "sampler": kind,
                "parameters": size,
                "training steps": steps,
                "training images/s": steps * batch_size / spent,
                "sampling s": drawing,
                "sampling images/s": samples / drawing,
                "Frechet distance": frechet(study, at, pictures),
            }
        )
    return rows


def compare(
    model: str,
    sampler: dict[str, Any],
    sides: dict[str, Callable[[StudyFolder], Side]],
    about: str,
    beside: Sequence[Entry] = (),
) -> None:
    """The command line of a comparison: run `sides`, publish under the name of `model`.

    Args:
        model: GenLab's preset; it gives the batch size.
        sampler: one that fits it.
        about: the script's docstring.
        beside: more models of GenLab that sides train.
    """
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=120, help="of training, for every side")
    parser.add_argument(
        "--samples", type=int, default=500, help="drawn from every side, at least 16"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=sides, default=list(sides), metavar="SIDE",
                        help=f"of {', '.join(sides)}")  # fmt: skip
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as `genlab` does; it serves all sides
    pictures = RESULTS / model
    with tempfile.TemporaryDirectory() as folder:
        study = make_study(Path(folder), [model, *beside], sampler, options.samples)
        names = [entry if isinstance(entry, str) else entry["name"] for entry in (model, *beside)]
        (batch_size,) = {spec_of(study, name).training.batch_size for name in names}
        rows: list[Row] = []
        for name in options.only:
            torch.manual_seed(0)
            rows += run_side(
                name, sides[name](study), study, batch_size, options.seconds, options.samples,
                pictures,
            )  # fmt: skip
        best = frechet(study, study.calibration_row(DIGITS, "real"), pictures)
    here = machine(options.threads)
    conditions = (
        f"{options.seconds:g} s of training each, batches of {batch_size}; {options.samples} "
        f"samples, {DRAWN} at a time. Frechet distance to the 4,000 training digits in the "
        "features of the domain classifier; "
        f"{min(options.samples, HELD_OUT)} held-out real digits: {best:.3g}.\n"
        f"{listed(here)}.\n"
    )
    content = {
        "machine": here,
        "seconds": options.seconds,
        "samples": options.samples,
        "batch_size": batch_size,
        "calibration": best,
        "rows": rows,
    }
    publish(model, f"{table(rows)}\n{conditions}", content)
