"""A tracking service is one file; a study switches it on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genlab.config.study import TrackingConfig
from genlab.results.layout import RunFolder
from genlab.tracking.mirror import sinks

SOURCE = Path(__file__).parents[2] / "src/genlab"
SINK = '''
from genlab.tracking.sink import Sink


class LinesSink(Sink):
    """A line for everything that is sent, in a file in the run's folder."""

    def __init__(self, run, spec, tracking):
        self.file, self.id = run.folder / "lines.txt", "the only one"

    @classmethod
    def enabled(cls, tracking):
        return True

    def find(self, ids):
        return self.id if self.id in ids else None

    def add(self, line):
        with self.file.open("a") as file:
            file.write(f"{line}\\n")

    def open(self, run_id):
        self.add(f"open {run_id}")

    def steps(self, rows):
        self.add("steps " + " ".join(str(row["step"]) for row in rows))

    def record(self, stage, record, folder):
        self.add(f"record {stage}")

    def close(self, status):
        self.add(f"close {status}")
'''
MIRROR = """
import sys
from pathlib import Path

from genlab.results.layout import RunFolder
from genlab.tracking.mirror import mirror

for status in ("RUNNING", "RUNNING", "FINISHED"):
    mirror(RunFolder(Path(sys.argv[1])), status)
"""


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["mlflow", "tensorboard"]),
        ({"tensorboard": False}, ["mlflow"]),
        ({"wandb": "offline"}, ["mlflow", "tensorboard", "wandb"]),
        ({"wandb": "online", "tensorboard": False}, ["mlflow", "wandb"]),
    ],
)
def test_a_study_chooses_its_services(settings: dict[str, Any], names: list[str]) -> None:
    assert list(sinks(TrackingConfig(**settings))) == names


def test_a_new_service_is_one_file_and_receives_everything_once(
    run: RunFolder, tmp_path: Path
) -> None:
    package = tmp_path / "src/genlab"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "tracking/sinks/lines.py").write_text(SINK)
    subprocess.run(
        [sys.executable, "-c", MIRROR, str(run.folder)],
        env=os.environ | {"PYTHONPATH": str(package.parent)}, check=True,
    )  # fmt: skip
    assert (run.folder / "lines.txt").read_text().splitlines() == [
        "open None", "steps 1 2 3", "record config", "close RUNNING",
        "open the only one", "close FINISHED",
    ]  # fmt: skip
