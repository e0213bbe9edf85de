"""The stage `likelihood`: bits per dimension of the held-out images."""

from __future__ import annotations

import torch

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
        images: number of held-out images, the first ones; None takes all.

    Raises:
        GenLabError: the family has no density of 8-bit pixels.
    """
    device, origin = pick_device(cpu), run_origin(run)
    model = load_trained(run, device, origin)
    pixels = torch.from_numpy(read_array(run.data.images("test"))[:images].copy()).to(device)
    try:
        measured = measure_likelihood(model, pixels, k)
    except GenLabError as problem:
        raise GenLabError(f"{run.folder}: {problem}") from None
    write_measured(run.likelihood, measured, origin)
    numbers = {
        f"{kind}_{name}": value
        for kind in model.config.likelihoods
        for name, value in measured[kind].items()
    }
    leave_record(run, "likelihood", metrics=numbers)
