"""Checkpoints of an unfinished training.

A checkpoint is one safetensors file: weights, their average, the optimisers' moments, the step, and
the history up to it. It holds no state of a random generator, since randomness is a function of the
step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from genlab.errors import GenLabError
from genlab.io.energy import Joules
from genlab.models.base import Model
from genlab.models.store import (
    EMA,
    RAW,
    load_weights,
    prefixed,
    read_tensors,
    without_prefix,
    write_tensors,
)


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: optimiser steps done.
        seconds: time spent on them.
        history: the rows logged so far, as lines of JSON.
        joules: energy used, by its counter.
        seconds_at: time until each share of the training whose weights were kept, by its name.
    """

    step: int = 0
    seconds: float = 0.0
    history: str = ""
    joules: Joules = field(default_factory=dict)
    seconds_at: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """Where a checkpoint lies, and which training it belongs to.

    Attributes:
        point: a digest of what the training depends on: configuration, seed, code, data, first
            stage, precision.
    """

    path: Path
    point: str


def contents(
    model: Model, ema: dict[str, Tensor] | None, optimizers: list[torch.optim.Optimizer]
) -> dict[str, Tensor]:
    """The tensors of a checkpoint: weights, their average and the optimisers' moments."""
    tensors = prefixed(RAW, model.state_dict())
    if ema is not None:
        tensors |= prefixed(EMA, ema)
    for k, optimizer in enumerate(optimizers):
        for i, state in optimizer.state_dict()["state"].items():
            tensors |= prefixed(f"optimizer.{k}.{i}.", state)
    return tensors


def save(checkpoint: Checkpoint, progress: Progress, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint; the one before it stays until this one is complete.

    Args:
        tensors: from `contents`.
    """
    metadata = {
        "point": checkpoint.point,
        "step": str(progress.step),
        "seconds": str(progress.seconds),
        "history": progress.history,
        "joules": json.dumps(progress.joules),
        "seconds_at": json.dumps(progress.seconds_at),
    }
    write_tensors(checkpoint.path, tensors, metadata)


def restore(
    checkpoint: Checkpoint,
    model: Model,
    ema: dict[str, Tensor] | None,
    optimizers: list[torch.optim.Optimizer],
) -> Progress | None:
    """Continue from a checkpoint; None where there is none yet.

    Raises:
        GenLabError: the file is damaged, of another architecture, or of another training.
    """
    path = checkpoint.path
    if not path.exists():
        return None
    tensors, metadata = read_tensors(path)
    try:
        point = metadata["point"]
        progress = Progress(
            int(metadata["step"]),
            float(metadata["seconds"]),
            metadata["history"],
            json.loads(metadata["joules"]),
            json.loads(metadata["seconds_at"]),
        )
    except (KeyError, ValueError):
        raise GenLabError(f"{path}: not a checkpoint of a training; delete it") from None
    if point != checkpoint.point:
        raise GenLabError(
            f"{path}: the checkpoint of another training (other data, seed or hyperparameters); "
            "delete it, or choose another file"
        )
    load_weights(model, without_prefix(RAW, tensors), path)
    if ema is not None:
        for name, tensor in without_prefix(EMA, tensors).items():
            ema[name].copy_(tensor)
    for k, optimizer in enumerate(optimizers):
        states = {}
        for i, weight in enumerate(optimizer.param_groups[0]["params"]):
            state = without_prefix(f"optimizer.{k}.{i}.", tensors)
            if state:
                states[i] = {name: _laid_out_as(weight, value) for name, value in state.items()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return progress


def _laid_out_as(weight: Tensor, state: Tensor) -> Tensor:
    """Return a moment of `weight` in the weight's memory layout, and any other number unchanged.

    A fused step reads weights and moments in the order in which they lie in memory.
    """
    if state.shape != weight.shape:
        return state
    return torch.empty_like(weight, requires_grad=False).copy_(state)
