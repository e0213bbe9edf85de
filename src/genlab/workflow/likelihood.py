"""The stage `likelihood`: bits per dimension of the held-out images."""

from __future__ import annotations

import numpy as np
import torch

from genlab.data.arrays import fair_share
from genlab.errors import GenLabError
from genlab.evaluation.likelihood import measure_likelihood
from genlab.io.arrays import read_array
from genlab.models.devices import pick_device
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.tracking.record import leave_record
from genlab.workflow.models import load_trained


def likelihood(
    run: RunFolder, *, k: int = 64, images: int | None = None, cpu: bool = False
) -> None:
    """Write bits/dim of a run's held-out images, for every kind of estimate its family has.

    Args:
        k: importance samples of kind 'iwae'.
        images: number of held-out images; None takes all. Fewer than all are drawn at random, the
            same for every run, since the file may be sorted by class.

    Raises:
        GenLabError: the family has no density of 8-bit pixels.
    """
    device, origin = pick_device(cpu), run_origin(run)
    model = load_trained(run, device, origin)
    held_out = read_array(run.data.images("test"))
    numbers = np.sort(fair_share(len(held_out))[:images])
    pixels = torch.from_numpy(np.array(held_out[numbers])).to(device)
    try:
        measured = measure_likelihood(model, pixels, k, numbers.tolist())
    except GenLabError as problem:
        raise GenLabError(f"{run.folder}: {problem}") from None
    write_measured(run.likelihood, measured, origin)
    metrics = {
        f"{kind}_{name}": value
        for kind in model.config.likelihoods
        for name, value in measured[kind].items()
    }
    leave_record(run, "likelihood", metrics=metrics)
