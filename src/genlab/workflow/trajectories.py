"""The stage `trajectories`: figures of a run's trajectories between noise and image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genlab.data.arrays import alternate_classes
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.models.batches import to_float
from genlab.models.capabilities import HasDenoiser
from genlab.models.devices import pick_device
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.results.spec import read_run
from genlab.sampling.draw import classes_of
from genlab.sampling.trajectories import COLUMNS, SAMPLES, Trajectories
from genlab.tracking.record import leave_record
from genlab.workflow.captions import captions_of
from genlab.workflow.figures import save_figures
from genlab.workflow.models import load_trained


def trajectories(run: RunFolder, *, cpu: bool = False) -> None:
    """Write the figures of a run's trajectories, and what they show as trajectories.json.

    Raises:
        GenLabError: the model is not on a Gaussian path.
    """
    device, origin = pick_device(cpu), run_origin(run)
    figures = read_trajectories(run, load_trained(run, device, origin), device).figures()
    paths = save_figures(run.trajectory_figures, figures, film_side=112)
    facts: dict[str, Any] = {name: figure.facts for name, figure in figures.items()}
    description = run.trajectories / "trajectories.json"
    write_measured(description, facts, origin)
    longest = facts["inversion"]["rows"][-1]
    leave_record(
        run,
        "trajectories",
        metrics={f"inversion_rmse_{longest['steps']}": longest["rmse"]},
        artifacts=[*paths, description],
    )


def read_trajectories(run: RunFolder, model: Model, device: torch.device) -> Trajectories:
    """A run's model, with held-out images of every class in turn.

    Raises:
        GenLabError: the model is not on a Gaussian path.
    """
    if not isinstance(model, HasDenoiser):
        raise GenLabError(
            f"{run.folder}: {type(model).__name__} is not on a Gaussian path, so it has no "
            "trajectory from noise to image"
        )
    seed, names = read_run(run.config).seed, read_json(run.data.manifest)["classes"]
    labels = read_array(run.data.labels("test"))
    indices = alternate_classes(labels)[:COLUMNS]
    labels = labels[indices]
    pixels = torch.from_numpy(np.array(read_array(run.data.images("test"))[indices])).to(device)
    image_conditions = torch.from_numpy(labels).to(device)
    if model.config.takes_prompts:
        captions = read_array(run.data.captions("test"))[indices, 0]
        image_conditions = torch.from_numpy(read_array(run.data.tokens)[captions]).to(device)
    facts = [
        {"image": int(i), "class": names[label]} for i, label in zip(indices, labels, strict=True)
    ]
    conditions = _conditions(run, model, SampleNoise(seed, range(SAMPLES), device))
    return Trajectories(model, seed, conditions, to_float(pixels), image_conditions, facts)


def _conditions(run: RunFolder, model: Model, noise: SampleNoise) -> Tensor:
    """The classes int64 [B] or prompts int64 [B, L] of samples, as the stage `sample` has them."""
    if model.config.takes_prompts:
        return captions_of(run.data, noise).tokens
    return classes_of(noise, model)
