"""The stage `sample` in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import SampleFolder, StudyFolder
from genlab.workflow.sample import sample

BATCH = 5  # seven batches of 32 samples: an odd number for two processes, the last one smaller


def files(at: SampleFolder) -> dict[Path, bytes]:
    """The bytes of what is drawn."""
    return {path: path.read_bytes() for path in (at.samples, at.requested, at.grid)}


@pytest.mark.parametrize(("model", "row"), [("ddpm", "ddim-3"), ("vae", "prior")])
def test_two_processes_draw_the_samples_of_one(
    trained_study: StudyFolder, model: str, row: str
) -> None:
    at = trained_study.run("stripes", model, 0).samples(row)
    sample(at, batch_size=BATCH, cpu=True)
    alone, evaluations = files(at), read_json(at.cost)["evaluations"]
    for path in alone:
        path.unlink()
    options = ("--batch-size", str(BATCH), "--gpus", "0", "--processes", "2")
    done = subprocess.run(
        [sys.executable, "-m", "genlab", "sample", "--config", str(at.config), *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert files(at) == alone
    assert read_json(at.cost)["evaluations"] == evaluations
    assert len(np.unique(read_array(at.samples).reshape(32, -1), axis=0)) == 32
