"""Shares of a batch, computed by several processes or one after the other.

A training must not depend on how its batches are shared. So every random number belongs to an image
of the batch: `BatchNoise` draws for the whole batch, and a share takes its own rows.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import dropout
from torch.overrides import TorchFunctionMode

from genlab.models.base import Batch

VIEWS = 2
"""Some losses stack so many views of a batch."""


class BatchShare(NamedTuple):
    """One of `total` shares of a batch: its images `number`, `number` + `total` ..."""

    number: int
    total: int

    def rows(self, whole: Tensor) -> Tensor:
        """Its rows [N / total, ...] of a tensor [N, ...]."""
        return whole[self.number :: self.total]

    def batch(self, whole: Batch) -> Batch:
        """Its images, with what belongs to them."""
        parts: dict[str, Any] = {
            name: self.rows(value)
            for name, value in whole._asdict().items()
            if isinstance(value, Tensor)
        }
        return whole._replace(**parts)

    def within(self, other: BatchShare) -> BatchShare:
        """This share of the images of `other`, as a share of the whole batch."""
        return BatchShare(other.number + other.total * self.number, other.total * self.total)


class BatchNoise(TorchFunctionMode):
    """Random tensors with a row for each of `images` images of a share are drawn for the batch.

    The share gets its rows of them, so all shares together see the numbers that the whole batch
    would see. Tensors of another first dimension, and calls with a `generator`, are left as they
    are. The former have the same numbers in every share, since each starts from the same seed.

    What belongs to no image may happen to have as many rows. It is drawn in place, by
    `Tensor.normal_` or `Tensor.uniform_`, which are left as they are.
    """

    def __init__(self, share: BatchShare, images: int) -> None:
        super().__init__()
        self.share, self.images = share, images

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        draw = functools.partial(func, **(kwargs or {}))
        if kwargs and kwargs.get("generator") is not None:
            return draw(*args)
        if func in (torch.randn, torch.rand):  # of sizes, one by one or in a tuple
            sizes = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
            return self._rows(sizes, draw)
        if func is torch.randint:  # of one bound or two, then sizes
            *bounds, sizes = args
            return self._rows(sizes, lambda whole: draw(*bounds, whole))
        if func in (torch.randn_like, torch.rand_like, torch.bernoulli):
            return self._rows_like(args[0], draw)
        if func is dropout:
            return self._dropout(*args, **(kwargs or {}))
        return draw(*args)

    def _views(self, size: int) -> int:
        """How many rows a tensor of `size` rows has for each image; 0 if it has none."""
        return size // self.images if size in (self.images, VIEWS * self.images) else 0

    def _rows(self, sizes: Sequence[int], draw: Callable[[list[int]], Tensor]) -> Tensor:
        """Call `draw` with the `sizes` of the whole batch and return the rows of this share."""
        views = self._views(sizes[0]) if sizes else 0
        if not views:
            return draw(list(sizes))
        whole = draw([self.share.total * sizes[0], *sizes[1:]])
        by_view = whole.reshape(views, -1, *whole.shape[1:])
        return by_view[:, self.share.number :: self.share.total].flatten(0, 1)

    def _rows_like(self, rows: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        """As `_rows`; `draw` gets a tensor of the whole batch in place of sizes.

        That tensor repeats each row `total` times, so this share's rows have their places in it.
        """
        total, views = self.share.total, self._views(len(rows))

        def repeat_rows() -> Tensor:
            if not views:
                return rows
            whole = torch.cat([rows.detach()] * total)  # in the memory format of `rows`
            by_view = rows.detach().reshape(views, -1, *rows.shape[1:])
            return whole.copy_(by_view.repeat_interleave(total, dim=1).flatten(0, 1))

        return self._rows(rows.shape, lambda sizes: draw(repeat_rows()))

    def _dropout(
        self, x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        """Dropout of x, by a mask that is drawn for the whole batch."""
        if not training or not p:
            return x
        return x * self._rows_like(x, lambda whole: dropout(torch.ones_like(whole), p))


def split_share(
    batch: Batch, share: BatchShare, parts: int
) -> Iterator[tuple[Batch, AbstractContextManager[Any]]]:
    """Split a process's `share` of a batch into `parts`; yield each with its context manager."""
    if share.total * parts == 1:  # a mode would cost time at every operation
        yield batch, nullcontext()
        return
    for number in range(parts):
        subshare = BatchShare(number, parts)
        part = subshare.batch(batch)
        yield part, BatchNoise(subshare.within(share), len(part.images))
