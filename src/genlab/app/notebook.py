"""Helpers for notebooks: open a trained run and show images.

from genlab.app.notebook import open_run, show

run = open_run("../results/default/digits/ddpm/seed0")
show(run.batch(16).images)
"""

from __future__ import annotations

import os
import subprocess
import sys
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

DEFAULT_STUDY = "default"
"""Name of the study of `config/config.yaml`."""


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

    In a checkout of GenLab the workflow first trains a run of the default study that is missing.

    Raises:
        GenLabError: the folder has no trained model, or its training failed.
    """
    run = RunFolder(Path(folder).resolve())
    project = run.study.results.parent
    if not run.weights.exists():
        if run.study.folder.name != DEFAULT_STUDY or not (project / "Snakefile").exists():
            raise GenLabError(
                f"{run.folder}: no trained model; the runs of a study lie in "
                "results/STUDY/DATASET/MODEL/seedK, and those of the default study are trained "
                "when they are opened in a checkout of GenLab"
            )
        _train(project, run.weights.relative_to(project))
    return OpenedRun(run, load_trained(run))


def _train(project: Path, weights: Path) -> None:
    """Run the workflow of the default study for one file of weights and what that depends on."""
    print(f"training {weights.parents[1]}: snakemake --cores all {weights}", flush=True)
    search_path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "all", str(weights)],
        cwd=project,
        env=os.environ | {"PATH": search_path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise GenLabError(f"{weights}: its training failed:\n{done.stdout[-2000:]}")


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
