"""The stage `sample`: the samples of one row, from a trained model."""

from __future__ import annotations

import time

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
from genlab.models.devices import pick_device, visible_cards
from genlab.processes.noise import SampleNoise
from genlab.results.layout import SampleFolder
from genlab.results.origin import row_origin, run_origin, write_measured
from genlab.results.spec import read_samples
from genlab.sampling.draw import Captions, classes_of, draw, precision_of
from genlab.workflow.captions import captions_of
from genlab.workflow.models import load_trained

STRIP_SAMPLES, STRIP_STEPS = 4, 12


def sample(at: SampleFolder, *, batch_size: int = 100, cpu: bool = False) -> None:
    """Draw the row's samples from its run's model; write them, their classes, a grid, their cost.

    Sample i depends on (seed, i) alone; `batch_size` changes speed and memory only.

    Raises:
        GenLabError: model and sampler don't fit, or the samples don't fit on the disk.
    """
    spec = read_samples(at.config)
    if spec.sampler is None:
        raise GenLabError(f"{at.config}: names no sampler; is this a calibration row?")
    device = pick_device(cpu)
    model = load_trained(at.run, device, run_origin(at.run))
    meter = EnergyMeter(visible_cards() if device.type == "cuda" else [])
    evaluations, seconds_of_batches = 0.0, []
    shape, origin = (spec.samples, *model.shape), row_origin(at)
    guided = spec.sampler.model_dump().get("guidance") != 0
    with array_writer(at.samples, shape, "uint8", origin) as samples:
        requested = np.full(spec.samples, -1)
        for start in range(0, spec.samples, batch_size):
            start_time = time.perf_counter()
            batch = range(start, min(start + batch_size, spec.samples))
            noise = SampleNoise(spec.seed, batch, device)
            captions = _captions(at, model, noise)
            drawing = draw(model, spec.sampler, noise, captions and captions.tokens)
            evaluations += drawing.evaluations * len(batch)
            if guided:
                requested[batch.start : batch.stop] = _classes(at, model, noise, captions)
            samples[batch.start : batch.stop] = to_uint8(drawing.images).cpu().numpy()
            seconds_of_batches.append((time.perf_counter() - start_time) / len(batch))
            energy = {name: joules / spec.samples for name, joules in meter.read().items()}
    write_array(at.requested, requested, origin)
    save_grid(at.grid, read_array(at.samples)[:GRID], columns=8)
    evaluations /= spec.samples
    computed_in = precision_of(spec.sampler, device)
    cost = {
        # Of the fastest batch: the others were delayed by the start, or by other processes.
        "seconds_per_image": min(seconds_of_batches),
        "evaluations": evaluations,
        "computed_in": computed_in,
    }
    write_measured(at.cost, cost | energy_record(energy, "joules_per_image"), origin)
    at.figures.mkdir(exist_ok=True)
    at.strip.unlink(missing_ok=True)  # of another sampler
    if spec.sampler.works_on == "gaussian":
        noise = SampleNoise(spec.seed, range(STRIP_SAMPLES), device)
        captions = _captions(at, model, noise)
        drawing = draw(model, spec.sampler, noise, captions and captions.tokens, trail=True)
        _save_strip(at, drawing.trail)


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
