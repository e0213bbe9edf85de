"""Helpers for notebooks: open a trained run and show images.

from genlab.app.notebook import open_run, show

run = open_run("../results/default/digits/ddpm/seed0")
show(run.batch(16).images)
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from IPython.display import Image
from torch import Tensor

from genlab.data.arrays import alternate_classes
from genlab.data.pictures import named_rows, sheet
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Batch
from genlab.models.batches import load
from genlab.results.layout import RunFolder
from genlab.sampling.figures import to_numpy
from genlab.workflow.data import read_table
from genlab.workflow.models import load_trained


@dataclass(frozen=True)
class OpenedRun:
    """A trained run.

    Attributes:
        folder: the folder of its files.
        model: its model of any family, on the CPU, in evaluation mode.
    """

    folder: RunFolder
    model: Any

    def batch(self, n: int, split: str = "test") -> Batch:
        """`n` images of a split with their labels, the classes in turn."""
        table = read_table(self.folder.data, split, self.model.config)
        return load(table, alternate_classes(table.labels)[:n], "cpu")

    def captions(self, n: int) -> tuple[list[str], Tensor]:
        """`n` evenly spaced captions of the training images, and their tokens int64 [n, L]."""
        captions = read_json(self.folder.data.texts)
        indices = np.linspace(0, captions["known"] - 1, n).round().astype(int)
        tokens = read_array(self.folder.data.tokens)[indices]
        return [captions["texts"][i] for i in indices], torch.from_numpy(tokens)


def open_run(folder: str | Path) -> OpenedRun:
    """Open the trained run in `folder`, results/STUDY/DATASET/MODEL/seedK.

    Raises:
        GenLabError: the folder has no trained model.
    """
    run = RunFolder(Path(folder))
    if not run.weights.exists():
        raise GenLabError(
            f"{Path(folder).resolve()}: no trained model; `make` trains those of the default "
            "study, and the runs of any study lie in results/STUDY/DATASET/MODEL/seedK"
        )
    return OpenedRun(run, load_trained(run))


def show(images: Tensor | dict[str, Tensor], columns: int = 16, side: int = 42) -> Image:
    """Images [N, C, H, W] on [0, 1] as one PNG picture, or a row of them for every name.

    Args:
        columns: number of columns for images without names.
        side: approximate width of each image in pixels.
    """
    if isinstance(images, dict):
        picture = named_rows({name: to_numpy(row) for name, row in images.items()}, side)
    else:
        picture = sheet(to_numpy(images), min(columns, len(images)), side)
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return Image(file.getvalue())
