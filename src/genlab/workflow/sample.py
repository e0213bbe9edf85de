"""The stage `sample`: the samples of one row, from a trained model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.data.pictures import GRID, save_grid
from genlab.errors import GenLabError
from genlab.io.arrays import array_writer, read_array, write_array
from genlab.io.energy import EnergyMeter, energy_record
from genlab.models.base import Model
from genlab.models.batches import to_uint8
from genlab.models.devices import join_processes, visible_cards
from genlab.nn.collectives import gather, rank_and_world_size
from genlab.processes.noise import SampleNoise
from genlab.results.layout import SampleFolder
from genlab.results.origin import row_origin, run_origin, write_measured
from genlab.results.spec import SampleSpec, read_samples
from genlab.sampling.draw import Captions, classes_of, draw, precision_of
from genlab.workflow.captions import captions_of
from genlab.workflow.models import load_trained

STRIP_SAMPLES, STRIP_STEPS = 4, 12


class SampleBatch(NamedTuple):
    """Samples of a row that one process drew together.

    Attributes:
        numbers: of the samples.
        images: uint8 [B, C, H, W].
        requested: requested class of each sample, int64 [B]; -1 for none.
        evaluations: network evaluations per sample.
        seconds: per sample.
    """

    numbers: range
    images: NDArray[np.uint8]
    requested: NDArray[np.int64]
    evaluations: float
    seconds: float


def sample(at: SampleFolder, *, batch_size: int = 100, cpu: bool = False) -> None:
    """Draw the row's samples from its run's model; write them, their classes, a grid, their cost.

    Sample i depends on (seed, i) alone; `batch_size` and the number of processes change speed and
    memory only. Processes take turns at the batches; the main process writes.

    Raises:
        GenLabError: model and sampler don't fit, or the samples don't fit on the disk.
    """
    spec = read_samples(at.config)
    if spec.sampler is None:
        raise GenLabError(f"{at.config}: names no sampler; is this a calibration row?")
    device = join_processes(cpu)
    model = load_trained(at.run, device, run_origin(at.run))
    rank, _ = rank_and_world_size()
    if rank > 0:
        for _ in _batches(at, spec, model, device, batch_size):
            pass
        return
    meter = EnergyMeter(visible_cards() if device.type == "cuda" else [])
    evaluations, seconds_of_batches = 0.0, []
    shape, origin = (spec.samples, *model.shape), row_origin(at)
    with array_writer(at.samples, shape, "uint8", origin) as samples:
        requested = np.full(spec.samples, -1)
        for batch in _batches(at, spec, model, device, batch_size):
            rows = slice(batch.numbers.start, batch.numbers.stop)
            samples[rows], requested[rows] = batch.images, batch.requested
            evaluations += batch.evaluations * len(batch.numbers)
            seconds_of_batches.append(batch.seconds)
            joules = meter.read()  # after every batch: its counters wrap around
    write_array(at.requested, requested, origin)
    save_grid(at.grid, read_array(at.samples)[:GRID], columns=8)
    energy = {name: value / spec.samples for name, value in joules.items()}
    cost = {
        # Of the fastest batch: the others were delayed by the start, or by other processes.
        "seconds_per_image": min(seconds_of_batches),
        "evaluations": evaluations / spec.samples,
        "computed_in": precision_of(spec.sampler, device),
    }
    write_measured(at.cost, cost | energy_record(energy, "joules_per_image"), origin)
    at.figures.mkdir(exist_ok=True)
    at.strip.unlink(missing_ok=True)  # of another sampler
    if spec.sampler.works_on == "gaussian":
        noise = SampleNoise(spec.seed, range(STRIP_SAMPLES), device)
        captions = _captions(at, model, noise)
        drawing = draw(model, spec.sampler, noise, captions and captions.tokens, trail=True)
        _save_strip(at, drawing.trail)


def _batches(
    at: SampleFolder, spec: SampleSpec, model: Model, device: torch.device, batch_size: int
) -> Iterator[SampleBatch]:
    """Draw this process's share of the batches; yield those of all processes in the main one."""
    rank, size = rank_and_world_size()
    for round_start in range(0, spec.samples, size * batch_size):
        start = round_start + rank * batch_size
        numbers = range(start, min(start + batch_size, spec.samples))
        own = _batch(at, spec, model, device, numbers) if numbers else None
        yield from (batch for batch in gather(own) if batch)


def _batch(
    at: SampleFolder, spec: SampleSpec, model: Model, device: torch.device, numbers: range
) -> SampleBatch:
    """Draw the samples with these numbers."""
    assert spec.sampler is not None
    start_time = time.perf_counter()
    noise = SampleNoise(spec.seed, numbers, device)
    captions = _captions(at, model, noise)
    drawing = draw(model, spec.sampler, noise, captions and captions.tokens)
    guided = spec.sampler.model_dump().get("guidance") != 0
    requested = _classes(at, model, noise, captions) if guided else np.full(len(numbers), -1)
    images = to_uint8(drawing.images).cpu().numpy()
    seconds = (time.perf_counter() - start_time) / len(numbers)
    return SampleBatch(numbers, images, requested, drawing.evaluations, seconds)


def _captions(at: SampleFolder, model: Model, noise: SampleNoise) -> Captions | None:
    """The captions that the samples are drawn for, where the model takes prompts."""
    return captions_of(at.run.data, noise) if model.config.takes_prompts else None


def _classes(
    at: SampleFolder, model: Model, noise: SampleNoise, captions: Captions | None
) -> NDArray[np.int64]:
    """The class that each sample is requested to be of, int64 [B]; -1 if the model knows none.

    A prompt is the caption of a training image, and requests the class of this image.
    """
    if captions is not None:
        labels = read_array(at.run.data.labels("train"))
        return np.asarray(labels[captions.images.cpu().numpy()], np.int64)
    if model.config.knows_classes:
        return classes_of(noise, model).cpu().numpy()
    return np.full(len(noise), -1)


def _save_strip(at: SampleFolder, trail: list[Tensor]) -> None:
    """A row for each of a few samples: the predicted x_0 from the first step to the last."""
    shown = np.unique(np.linspace(0, len(trail) - 1, STRIP_STEPS).round().astype(int))
    states = torch.stack([trail[i] for i in shown], dim=1).flatten(0, 1)
    save_grid(at.strip, to_uint8(states).cpu().numpy(), columns=len(shown))
