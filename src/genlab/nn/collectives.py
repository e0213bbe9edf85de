"""Collective operations of a stage in several processes.

In a training, process r of n computes the images r, r + n, r + 2n ... of every batch. They
change nothing in a single process.
"""

from __future__ import annotations

from typing import TypeVar

import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_reduce

T = TypeVar("T")


def several_processes() -> bool:
    """Whether this stage has more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank_and_world_size() -> tuple[int, int]:
    """Number of this process, from 0, and number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if several_processes() else (0, 1)


def gather(value: T) -> list[T]:
    """Return the values of all processes in process 0, and none in the others."""
    rank, size = rank_and_world_size()
    if size == 1:
        return [value]
    values: list[T] = [value] * size
    dist.gather_object(value, values if rank == 0 else None)
    return values if rank == 0 else []


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Sum `tensor` in place over all processes, and return it; without gradients."""
    if several_processes():
        dist.all_reduce(tensor)
    return tensor


def mean_over_processes(tensor: Tensor) -> Tensor:
    """The mean of `tensor` over all processes, with gradients."""
    if not several_processes():
        return tensor
    mean: Tensor = all_reduce(tensor) / dist.get_world_size()  # type: ignore[no-untyped-call]
    return mean


def whole_batch(rows: Tensor) -> Tensor:
    """The rows [n B, ...] of the whole batch in their order, from those of each process [B, ...].

    With gradients, under the convention that they are averaged over processes: a loss of the whole
    batch that every process computes has the gradient that one process would compute.
    """
    if not several_processes():
        return rows
    n = dist.get_world_size()
    whole = rows.new_zeros(n * len(rows), *rows.shape[1:])
    whole[dist.get_rank() :: n] = rows
    complete: Tensor = all_reduce(whole)  # type: ignore[no-untyped-call]
    return complete


def own_rows(whole: Tensor) -> Tensor:
    """The rows of this process, from those of the whole batch."""
    rank, size = rank_and_world_size()
    return whole[rank::size]
