"""A new data source is two files and a YAML; nothing else has to change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genlab.config.sources import source_names
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.registry import modules_in
from genlab.results.layout import DataFolder

SOURCE = Path(__file__).parents[2] / "src/genlab"
CONFIG = '''
from typing import Literal

from pydantic import PositiveInt

from genlab.config.sources import LabelledConfig


class RampsConfig(LabelledConfig):
    """Grey images that become brighter to the right or downwards."""

    source: Literal["ramps"] = "ramps"
    images: PositiveInt = 6
    """Number of images of each split."""

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, 4, 4)

    @property
    def class_count(self) -> int:
        return 2
'''
READER = """
import numpy as np

from genlab.data.arrays import Source, Split


def fetch(config, raw):
    raw.mkdir(parents=True)
    (raw / "step.txt").write_text("60")
    return [raw / "step.txt"]


def read(config, files):
    ramp = np.tile(np.arange(4) * int(files[0].read_text()), (4, 1)).astype(np.uint8)
    labels = np.arange(config.images) % 2
    images = np.stack([(ramp, ramp.T)[label] for label in labels])[:, None]
    return Source(Split(images, labels), Split(images, labels), ["right", "down"])
"""
PLAN = """
import sys
from pathlib import Path

from genlab.config.base import dump_yaml
from genlab.config.study import load_dataset

config = load_dataset("mine", Path(sys.argv[1]), "study.yaml")
Path(sys.argv[2]).write_text(dump_yaml(config))
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """`run("-m", "genlab", ...)` runs Python on a copy of the package with the source `ramps`.

    It returns the errors that it prints.
    """
    package = tmp_path / "src/genlab"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "config/sources/ramps.py").write_text(CONFIG)
    (package / "data/sources/ramps.py").write_text(READER)
    environment = os.environ | {"PYTHONPATH": str(package.parent)}

    def run(*command: str) -> str:
        ended = subprocess.run(
            [sys.executable, *command],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return ended.stderr

    return run


def test_a_new_source_is_planned_fetched_and_prepared(
    run: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "config/datasets").mkdir(parents=True)
    (tmp_path / "config/datasets/mine.yaml").write_text(
        "{source: ramps, images: 8, captions: ['brighter {name}'], names: [rightwards, downwards]}"
    )
    at = DataFolder(tmp_path / "results/data/mine")
    at.folder.mkdir(parents=True)
    assert run("-c", PLAN, "config", str(at.config)) == ""
    assert run("-m", "genlab", "fetch", "--config", str(at.config)) == ""
    assert run("-m", "genlab", "prepare", "--config", str(at.config)) == ""
    manifest = read_json(at.manifest)
    assert manifest["shape"] == [1, 4, 4]
    assert manifest["classes"] == ["right", "down"]
    assert manifest["test"]["per_class"] == [4, 4]
    images = np.asarray(read_array(at.images("train")))
    assert images[0, 0].tolist() == 4 * [[0, 60, 120, 180]]
    assert images[1, 0].tolist() == images[0, 0].T.tolist()
    assert read_json(at.texts)["texts"] == ["brighter rightwards", "brighter downwards"]


def test_a_mistake_in_the_settings_of_a_new_source_is_named(
    run: Callable[..., str], tmp_path: Path
) -> None:
    folder = tmp_path / "config/datasets"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("{source: ramps, image: 8}")
    errors = run("-c", PLAN, "config", "none.yaml")
    assert "mine.yaml: unknown key 'image': did you mean 'images'?" in errors
    (folder / "mine.yaml").write_text("{source: ramp}")
    errors = run("-c", PLAN, "config", "none.yaml")
    assert "mine.yaml: source: unknown source 'ramp': did you mean 'ramps'?" in errors


def test_every_source_has_both_of_its_files() -> None:
    readers = [module.rpartition(".")[2] for module in modules_in("genlab.data.sources")]
    assert source_names() == readers
