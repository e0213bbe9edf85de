"""Activation checkpointing, and advice where a GPU runs out of memory."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from genlab.config.study import TrainingConfig
from genlab.errors import GenLabError
from genlab.models.base import Model
from genlab.nn.coupling import CouplingNetwork
from genlab.nn.dit import DiTBlock
from genlab.nn.transformer import Block
from genlab.nn.unet import ResidualBlock

RECOMPUTED_BLOCKS = (ResidualBlock, DiTBlock, Block, CouplingNetwork)
"""Blocks that hold most of a network's activations."""


def recompute_blocks(model: nn.Module) -> None:
    """Let the backward pass compute the blocks of `model` again rather than keep their activations.

    It changes no number (Chen et al. 2016, arXiv:1604.06174).
    """
    for module in model.modules():
        if isinstance(module, RECOMPUTED_BLOCKS):
            forward = functools.partial(checkpoint, module.forward, use_reentrant=False)
            setattr(module, "forward", forward)  # noqa: B010 (mypy knows it as a method)


@contextmanager
def explain_out_of_memory(
    name: str, model: Model, training: TrainingConfig, processes: int
) -> Iterator[None]:
    """Name settings that need less memory when a GPU runs out of it.

    Raises:
        GenLabError: in place of `torch.OutOfMemoryError`.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        parts, share_size = training.accumulation, training.batch_size // processes
        remedies = []
        if not model.config.needs_whole_batch and share_size % (2 * parts) == 0:
            remedies.append(
                f"training.accumulation: {2 * parts} computes half as many at a time with the same "
                "result"
            )
        has_blocks = any(isinstance(module, RECOMPUTED_BLOCKS) for module in model.modules())
        if has_blocks and not training.recompute:
            remedies.append("training.recompute: true keeps fewer activations")
        remedies.append(f"training.batch_size: {max(1, training.batch_size // 2)} is half of it")
        raise GenLabError(
            f"{name}: the GPU has not enough memory for {share_size // parts} images at a time "
            f"({str(error).partition('.')[0]}). {', '.join(remedies)}"
        ) from None
