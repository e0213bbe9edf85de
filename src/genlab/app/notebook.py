"""What a notebook needs: a trained run opened, and its pictures shown.

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
from genlab.models.batches import load, read_table
from genlab.models.store import load_model
from genlab.results.layout import RunFolder
from genlab.sampling.figures import to_numpy


@dataclass(frozen=True)
class Opened:
    """A trained run.

    Attributes:
        folder: where its files are.
        model: on the CPU, in evaluation mode; of whatever family.
    """

    folder: RunFolder
    model: Any

    def batch(self, n: int, split: str = "test") -> Batch:
        """`n` images of a split, of every class in turn, and what belongs to them."""
        table = read_table(self.folder.data, split, self.model.config)
        return load(table, alternate_classes(table.labels)[:n], "cpu")

    def captions(self, n: int) -> tuple[list[str], Tensor]:
        """`n` captions from all over the training's, and their tokens int64 [n, L]."""
        said = read_json(self.folder.data.texts)
        which = np.linspace(0, said["known"] - 1, n).round().astype(int)
        tokens = read_array(self.folder.data.tokens)[which]
        return [said["texts"][i] for i in which], torch.from_numpy(tokens)


def open_run(folder: str | Path) -> Opened:
    """The trained run in `folder`, results/STUDY/DATASET/MODEL/seedK.

    Raises:
        GenLabError: there is none.
    """
    run = RunFolder(Path(folder))
    if not run.weights.exists():
        raise GenLabError(
            f"{Path(folder).resolve()}: no trained model. `make` trains those of the default "
            "study; a run of another one is at results/STUDY/DATASET/MODEL/seedK"
        )
    return Opened(run, load_model(run))


def show(images: Tensor | dict[str, Tensor], columns: int = 16, side: int = 42) -> Image:
    """Images [N, C, H, W] on [0, 1] as one PNG picture, or a line of them for every name.

    Args:
        columns: of images without names.
        side: about how many pixels wide each is shown.
    """
    if isinstance(images, dict):
        picture = named_rows({name: to_numpy(row) for name, row in images.items()}, side)
    else:
        picture = sheet(to_numpy(images), min(columns, len(images)), side)
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return Image(file.getvalue())
