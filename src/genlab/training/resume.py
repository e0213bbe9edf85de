"""Checkpoints of an unfinished training.

They lie in the run's `resume/` folder, outside what the workflow knows, since it deletes the
outputs of a failed attempt. A checkpoint is one safetensors file, written under a temporary name
and renamed: weights, their average, the optimisers' moments, the step, and the history up to it.
There is no state of a random generator to keep, since randomness is addressed by the step.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from genlab.errors import GenLabError
from genlab.models.base import Model
from genlab.models.store import EMA, RAW, load_weights, prefixed, read_tensors, write_tensors
from genlab.results.layout import RunFolder


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        step: optimiser steps done.
        seconds: time spent on them.
        history: the rows logged up to the checkpoint that the training started from, as the text
            of `history.jsonl`.
    """

    step: int = 0
    seconds: float = 0.0
    history: str = ""


PATIENCE = 30.0
"""Seconds that a workflow gives the trainer of a killed one to write a checkpoint and end."""


@contextlib.contextmanager
def only_trainer(run: RunFolder) -> Iterator[None]:
    """Hold the run's folder: a trainer that was left behind and its successor must not share it.

    Raises:
        GenLabError: another process is training this run, or the folder can't be written.
    """
    patience = PATIENCE if "GENLAB_WORKFLOW" in os.environ else 0.0
    lock = FileLock(run.resume / "lock", timeout=patience)
    holder = run.resume / "pid"
    try:
        run.resume.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        holder.write_text(str(os.getpid()))
    except Timeout:
        raise GenLabError(
            f"{run.folder}: process {holder.read_text() if holder.exists() else '?'} is training "
            "this run already; wait for it, or end it, then run again"
        ) from None
    except OSError as error:
        raise GenLabError(f"{run.resume}: can't be written: {error.strerror or error}") from None
    try:
        yield
    finally:
        lock.release()


def _path(run: RunFolder, point: str) -> Path:
    return run.resume / f"{point}.safetensors"


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


def save(run: RunFolder, point: str, progress: Progress, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint; the one before it stays until it is complete.

    It holds the history so far, since a training with another point overwrites `history.jsonl`.

    Args:
        point: what it belongs to, in a name: the spec, the data, the first stage, the precision.
        tensors: from `contents`.
    """
    metadata = {
        "point": point,
        "step": str(progress.step),
        "seconds": str(progress.seconds),
        "history": run.history.read_text(encoding="utf-8"),
    }
    write_tensors(_path(run, point), tensors, metadata)


def restore(
    run: RunFolder,
    point: str,
    model: Model,
    ema: dict[str, Tensor] | None,
    optimizers: list[torch.optim.Optimizer],
) -> Progress | None:
    """Continue from the checkpoint `point`, as in `save`, if there is one.

    Raises:
        GenLabError: the checkpoint is damaged, or of another architecture.
    """
    path = _path(run, point)
    if not path.exists():
        return None
    tensors, metadata = read_tensors(path)
    try:
        progress = Progress(int(metadata["step"]), float(metadata["seconds"]), metadata["history"])
    except (KeyError, ValueError):
        raise GenLabError(f"{path}: not a checkpoint of a training; delete it") from None

    def part(prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}

    load_weights(model, part(RAW), path)
    if ema is not None:
        for name, tensor in part(EMA).items():
            ema[name].copy_(tensor)
    for k, optimizer in enumerate(optimizers):
        states = {}
        for i, weight in enumerate(optimizer.param_groups[0]["params"]):
            kept = part(f"optimizer.{k}.{i}.")
            if kept:
                states[i] = {name: _beside(weight, tensor) for name, tensor in kept.items()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": states})
    return progress


def _beside(weight: Tensor, state: Tensor) -> Tensor:
    """A moment of `weight` in the weight's own layout; any other number as it is.

    A fused step takes the numbers in the order they lie in.
    """
    if state.shape != weight.shape:
        return state
    return torch.empty_like(weight, requires_grad=False).copy_(state)


def clear(run: RunFolder) -> None:
    """Delete the checkpoints of a training that is complete."""
    for path in run.resume.glob("*.safetensors"):
        path.unlink()
