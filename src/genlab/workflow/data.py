"""Prepared data, as the library takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genlab.config.families import FamilyConfig
from genlab.io.arrays import read_array
from genlab.models.batches import Table
from genlab.results.layout import DataFolder


def read_table(data: DataFolder, split: str, family: FamilyConfig) -> Table:
    """Read a split of prepared data, as far as a model of `family` needs it.

    A family that knows factors trains on the first half of the unseen split as well: it judges
    whether other models draw unseen combinations, so it must have seen all of them equally.
    """
    table = Table(read_array(data.images(split)), read_array(data.labels(split)))
    if family.reads_captions:
        captions, tokens = read_array(data.captions(split)), read_array(data.tokens)
        table = table._replace(captions=captions, tokens=tokens)
    if not family.knows_factors:
        return table
    table = table._replace(factors=read_factors(data, split))
    half = len(read_array(data.labels("unseen"))) // 2 if split == "train" else 0
    if not half:
        return table
    unseen = read_table(data, "unseen", family)
    rows = {
        name: np.concatenate([array, getattr(unseen, name)[:half]])
        for name, array in table._asdict().items()
        if array is not None and name != "tokens"
    }
    return table._replace(**rows)


def read_factors(data: DataFolder, split: str) -> NDArray[np.int64]:
    """Read the factors of a split, int64 [N, F]; its labels, [N, 1], where none are known."""
    factors = read_array(data.factors(split))
    return factors if factors.shape[1] else read_array(data.labels(split))[:, None]
