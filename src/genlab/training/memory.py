"""What a training needs of a device's memory: less by computing twice, and what to do about it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from genlab.config.study import TrainingConfig
from genlab.errors import GenLabError
from genlab.nn.coupling import CouplingNetwork
from genlab.nn.dit import DiTBlock
from genlab.nn.transformer import Block
from genlab.nn.unet import ResidualBlock

RECOMPUTED = (ResidualBlock, DiTBlock, Block, CouplingNetwork)
"""Blocks that hold most of a network's activations."""


def recompute_blocks(model: nn.Module) -> None:
    """Let the backward pass compute the blocks of `model` again, rather than keep what they
    computed (Chen et al. 2016, arXiv:1604.06174). It changes no number.
    """
    for module in model.modules():
        if isinstance(module, RECOMPUTED):
            recomputed = functools.partial(checkpoint, module.forward, use_reentrant=False)
            setattr(module, "forward", recomputed)  # noqa: B010 (mypy knows it as a method)


@contextmanager
def enough_memory(name: str, training: TrainingConfig) -> Iterator[None]:
    """Say which settings need less memory, where a GPU has not enough.

    Raises:
        GenLabError: in place of `torch.OutOfMemoryError`.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        parts = training.accumulation
        again = "" if training.recompute else "training.recompute: true keeps fewer activations, "
        raise GenLabError(
            f"{name}: the GPU has not enough memory for {training.batch_size // parts} images at a "
            f"time ({str(error).partition('.')[0]}). training.accumulation: {2 * parts} computes "
            f"half as many at a time with the same result, {again}"
            f"training.batch_size: {training.batch_size // 2} halves the batch itself"
        ) from None
