"""The stages `sample` and `reconstruct`."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from genlab.data.pictures import GRID, save_grid
from genlab.errors import GenLabError
from genlab.io.arrays import array_writer, read_array
from genlab.models.base import Model
from genlab.models.batches import in_parts, to_uint8
from genlab.models.capabilities import Reconstructs
from genlab.models.devices import pick_device
from genlab.models.store import load_model
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder, SampleFolder
from genlab.results.origin import row_origin, run_origin, write_measured
from genlab.results.spec import read_samples
from genlab.sampling.draw import captions_of, draw, precision_of
from genlab.tracking.record import leave_record

STRIP_SAMPLES, STRIP_STEPS = 4, 12


def sample(at: SampleFolder, *, batch_size: int = 100, cpu: bool = False) -> None:
    """Draw the row's samples from its run's model and write them with a grid and their cost.

    Sample i depends on (seed, i) alone; `batch_size` changes speed and memory only.

    Raises:
        GenLabError: model and sampler don't fit, or the samples don't fit on the disk.
    """
    spec = read_samples(at.config)
    if spec.sampler is None:
        raise GenLabError(f"{at.config}: names no sampler; is this a floor row?")
    device = pick_device(cpu)
    model = load_model(at.run, device, run_origin(at.run))
    evaluations, begun = 0.0, time.perf_counter()
    shape, origin = (spec.samples, *model.shape), row_origin(at)
    with array_writer(at.samples, shape, "uint8", origin) as samples:
        for start in range(0, spec.samples, batch_size):
            which = range(start, min(start + batch_size, spec.samples))
            noise = SampleNoise(spec.seed, which, device)
            drawing = draw(model, spec.sampler, noise, _tokens(at, model, noise))
            evaluations += drawing.evaluations * len(which)
            samples[which.start : which.stop] = to_uint8(drawing.images).cpu().numpy()
        seconds = (time.perf_counter() - begun) / spec.samples
    save_grid(at.grid, read_array(at.samples)[:GRID], columns=8)
    evaluations /= spec.samples
    computed_in = precision_of(spec.sampler, device)
    cost = {"seconds_per_image": seconds, "evaluations": evaluations, "computed_in": computed_in}
    write_measured(at.cost, cost, origin)
    pictures = [at.grid]
    if spec.sampler.works_on == "gaussian":
        noise = SampleNoise(spec.seed, range(STRIP_SAMPLES), device)
        drawing = draw(model, spec.sampler, noise, _tokens(at, model, noise), trail=True)
        _save_strip(at, drawing.trail)
        pictures.append(at.strip)
    measured = {f"{spec.row}/seconds_per_image": seconds,
                f"{spec.row}/evaluations": evaluations}  # fmt: skip
    leave_record(at.run, f"sample_{spec.row}", metrics=measured, artifacts=pictures)


def _tokens(at: SampleFolder, model: Model, noise: SampleNoise) -> Tensor | None:
    """The captions that the samples are asked for, where the model takes prompts."""
    return captions_of(at.run.data, noise).tokens if model.config.takes_prompts else None


def _save_strip(at: SampleFolder, trail: list[Tensor]) -> None:
    """A row for each of a few samples: the predicted x_0 from the first step to the last."""
    shown = np.unique(np.linspace(0, len(trail) - 1, STRIP_STEPS).round().astype(int))
    states = torch.stack([trail[i] for i in shown], dim=1).flatten(0, 1)
    save_grid(at.strip, to_uint8(states).cpu().numpy(), columns=len(shown))


@torch.no_grad()
def reconstruct(run: RunFolder, *, batch_size: int = 500, cpu: bool = False) -> None:
    """Encode and decode all held-out images; write them, MSE and PSNR on [0, 1], a sheet of pairs.

    PSNR = 10 log10(1 / MSE) is taken for each image and then averaged.

    Raises:
        GenLabError: the family doesn't reconstruct.
    """
    device, origin = pick_device(cpu), run_origin(run)
    model = load_model(run, device, origin)
    if not isinstance(model, Reconstructs):
        raise GenLabError(
            f"{run.folder}: {type(model).__name__} has no encoder to reconstruct with"
        )
    images = read_array(run.data.images("test"))
    errors, pairs = [], []
    with array_writer(run.reconstructed, images.shape, "uint8", origin) as reconstructed:
        for k, real in enumerate(in_parts(images, device, batch_size)):
            start = k * batch_size
            again = model.reconstruct(real).clamp(0, 1)
            reconstructed[start : start + len(real)] = to_uint8(again).cpu().numpy()
            errors.append((again - real).square().mean(dim=(1, 2, 3)).double().cpu())
            pairs.append(torch.stack([real, again], dim=1)[:: max(1, len(images) // 32)])
    mse = torch.cat(errors)
    measured = {
        "reconstruction_mse": float(mse.mean()),
        "reconstruction_psnr": float((-10 * mse.clamp(min=1e-12).log10()).mean()),
    }
    sheet = run.reconstructions / "pairs.png"
    shown = torch.cat(pairs)[:32].flatten(0, 1)  # image, reconstruction, image, ...
    save_grid(sheet, to_uint8(shown).cpu().numpy(), columns=8)
    content = {**measured, "images": len(images)}
    write_measured(run.reconstructions / "metrics.json", content, origin)
    leave_record(run, "reconstruct", metrics=measured, artifacts=[sheet])
