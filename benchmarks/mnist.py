"""A model trained on the full MNIST for a number of minutes: what such benchmarks share."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from sides import GenLab, make_training, train
from torch import Tensor

from genlab.config.base import dump_yaml
from genlab.config.families import FamilyConfig
from genlab.config.sources.torchvision import TorchvisionConfig
from genlab.config.study import TrainingConfig
from genlab.io.arrays import read_array
from genlab.io.files import write_text
from genlab.models.base import Model
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.spec import RunSpec
from genlab.workflow.fetch import fetch
from genlab.workflow.prepare import prepare

TRAIN_IMAGES = 60_000


class OnMNIST(GenLab):
    """The training of a run that is no preset's."""

    def __init__(self, run: RunFolder) -> None:
        self.run, self.training, self.rows = run, make_training(run), {}
        self.network = self.training.model


def make_run(
    results: Path, raw: str | None, model: FamilyConfig, training: TrainingConfig
) -> RunFolder:
    """Prepare MNIST, from the IDX files in the folder `raw` or downloaded, and write a spec."""
    run = StudyFolder(results / "mnist").run("mnist", model.family, 0)
    write_text(run.data.config, dump_yaml(TorchvisionConfig(dataset="mnist", raw=raw)))
    fetch(run.data)
    prepare(run.data)
    spec = RunSpec(
        study="mnist", dataset="mnist", name=model.family, seed=0, model=model, training=training
    )
    write_text(run.config, dump_yaml(spec))
    return run


def options(about: str, minutes: float) -> argparse.Namespace:
    """The command line: raw, minutes (at most 25), images and threads.

    Args:
        about: the script's docstring.
        minutes: of training, unless said otherwise.
    """
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--raw", help="folder with MNIST's IDX files; else they are downloaded")
    parser.add_argument("--minutes", type=float, default=minutes, help="of training, at most 25")
    parser.add_argument("--images", type=int, default=10_000, help="of the test set, measured")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    if not 0 < chosen.minutes <= 25:
        parser.error("--minutes: at most 25, and more than 0")
    return chosen


def trained(
    chosen: argparse.Namespace, model: FamilyConfig, training: TrainingConfig
) -> tuple[Model, Tensor, int, float]:
    """Train `model` for the minutes that the command line asks for.

    Returns:
        The model, uint8 test images [N, 1, 28, 28], the steps made and the seconds they took.
    """
    torch.set_num_threads(chosen.threads)
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder), chosen.raw, model, training)
        torch.manual_seed(0)
        side = OnMNIST(run)
        steps, spent = train(side, 60 * chosen.minutes)
        pixels = np.array(read_array(run.data.images("test"))[: chosen.images])
        return side.trained(), torch.from_numpy(pixels), steps, spent
