"""Trained models of a study: they must have been made from the specs and data of today."""

from __future__ import annotations

import torch

from genlab.errors import GenLabError
from genlab.models.base import Model
from genlab.models.store import build_trained, read_tensors
from genlab.results.layout import RunFolder
from genlab.results.origin import KEY, check_origin, run_origin
from genlab.results.spec import RunSpec, read_run


def load_trained(
    run: RunFolder, device: torch.device | str = "cpu", origin: str | None = None
) -> Model:
    """Load the trained model of a run, with averaged weights where there are any.

    Args:
        origin: what it must have been trained from (`genlab.results.origin.run_origin`); None takes
            it as it is, and the file of weights is then all that is needed.

    Raises:
        GenLabError: the file is missing or damaged, or of another origin.
    """
    tensors, metadata = read_tensors(run.weights)
    if origin is not None:
        check_origin(run.weights, metadata.get(KEY), origin)
    return build_trained(tensors, metadata, run.weights, device)


def first_stage_run(run: RunFolder, spec: RunSpec) -> RunFolder | None:
    """The run that the run `spec` builds on; None where it builds on none."""
    if spec.first_stage is None:
        return None
    return run.study.run(spec.dataset, spec.first_stage.name, spec.first_stage.seed)


def load_first_stage(run: RunFolder, spec: RunSpec) -> Model | None:
    """Load the trained model that the run `spec` builds on, if it builds on any.

    Raises:
        GenLabError: it was trained for another spec than the one `spec` names, or on other data.
    """
    below = first_stage_run(run, spec)
    if below is None or spec.first_stage is None:
        return None
    planned = read_run(below.config).digest
    if planned != spec.first_stage.digest:
        raise GenLabError(
            f"{below.config}: its digest is {planned}, but {run.config} builds on "
            f"{spec.first_stage.digest}: run the workflow again"
        )
    return load_trained(below, origin=run_origin(below))
