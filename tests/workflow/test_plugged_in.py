"""A metric is one file and an extractor two: they are measured, ranked, explained and tracked.

The files are written into a copy of the package, and the stages of a finished study run with it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from numpy.typing import NDArray
from tiny import write_costs

from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import StudyFolder

PACKAGE = Path(__file__).parents[2] / "src" / "genlab"
TESTS = Path(__file__).parents[1]
RUNS = {"vae": "prior", "ddpm": "ddim-3", "calibration": "real"}

METRIC = '''"""Distance of the mean features."""

import numpy as np

from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values


class MeanShift(FeatureMetric):
    """Distance between the mean features of both sets."""

    columns = (Column("mean_shift", "mean shift", better="lower"),)
    order = 15
    needs = ("samples", "features")
    explanation = "Distance between the mean features of {samples} samples and the training images."

    def compute(self, comparison: Comparison) -> Values:
        generated, real = comparison.features
        return {"mean_shift": float(np.linalg.norm(generated.mean(axis=0) - real.mean(axis=0)))}
'''

FACTS = '''"""Coarse pixels as features."""

from genlab.config.evaluators import Evaluator


class Pixels(Evaluator):
    """Grey values on a grid."""

    name = "coarse-pixels"
    extracts = True
    predicts_classes = False
    explanation = "Mean grey values on a grid of 4 x 4: they show where an image is bright."

    def dimensions(self, model: object) -> int:
        return 16
'''
NETWORK = '''"""Coarse pixels as features."""

import torch
import torch.nn.functional as F

from genlab.evaluation.extractors import Extractor


class Pixels(Extractor):
    """Mean grey values on a grid of 4 x 4."""

    def __init__(self, model, config, device):
        pass

    def __call__(self, pixels):
        grey = pixels.float().mean(dim=1, keepdim=True)
        return F.adaptive_avg_pool2d(grey, 4).flatten(1), grey.new_zeros(len(grey), 0)
'''

SCRIPT = """
import json, sys
from pathlib import Path

import genlab
from genlab.app.cli import main

package, results, config, changes, commands = json.loads(sys.argv[1])
assert Path(genlab.__file__).parent == Path(package)
if changes:
    from tiny import make_study

    make_study(Path(results), Path(config), changes)
for command in commands:
    sys.argv = ["genlab", *command]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, command
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to which files can be added."""
    copy = tmp_path / "src" / "genlab"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def run(
    package: Path, at: StudyFolder, config: Path, changes: object, commands: list[list[object]]
) -> None:
    """Run `commands` with the copied package; first write the tiny study with its `changes`."""
    write_costs(at)
    words = [[str(word) for word in command] for command in commands]
    job = json.dumps([str(package), str(at.results), str(config), changes, words])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package.parent), str(TESTS)])}
    process = [sys.executable, "-c", SCRIPT, job]
    ended = subprocess.run(process, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def features(at: StudyFolder, model: str, extractor: str) -> NDArray[np.float64]:
    """The features of a run's only row in this study."""
    row = at.run("stripes", model, 0).samples(RUNS[model])
    features: NDArray[np.float64] = np.load(row.features(extractor))["features"].astype(float)
    return features


def test_a_new_metric_is_one_file(
    package: Path, trained_study: StudyFolder, tiny_config: Path
) -> None:
    at = trained_study
    (package / "evaluation" / "metrics" / "mean_shift.py").write_text(METRIC)
    evaluate = [["evaluate", "--run", at.run("stripes", model, 0).folder] for model in RUNS]
    summary = [[stage, "--config", at.config] for stage in ("league", "report")]
    run(package, at, tiny_config, None, evaluate + summary)

    real = np.load(at.reference("stripes", "train") / "classifier.npz")["features"].astype(float)
    table = pd.read_csv(at.league, keep_default_na=False).set_index(["model", "sampler"])
    # by its order, between FLD and KID
    columns = list(table.columns)
    assert columns.index("mean_shift") == columns.index("fld_high") + 1 == columns.index("kid") - 1
    for model, row in RUNS.items():
        shift = np.linalg.norm(features(at, model, "classifier").mean(axis=0) - real.mean(axis=0))
        measured = read_json(at.run("stripes", model, 0).metrics)[row]["classifier"]
        assert measured["mean_shift"] == pytest.approx(shift, rel=1e-5)
        assert float(table.loc[(model, row), "mean_shift"]) == measured["mean_shift"]

    page = at.report.read_text()
    league = page[page.index('<section id="league">') :]
    heads = re.findall(r"<th.*?>(.*?)</th>", league[: league.index("</thead>")])
    cells = re.findall(r"<td.*?>(.*?)</td>", league[: league.index("</tbody>")])
    column = cells[heads.index("mean shift") :: len(heads)]
    assert len(column) == len(table)
    assert not any("<strong>" in cell for cell in column)  # it has no interval
    assert "Distance between the mean features of 32 samples and the training images." in page

    record = read_json(at.run("stripes", "vae", 0).outbox / "league_prior.json")  # for MLflow
    assert record["metrics"]["mean_shift"] == float(table.loc[("vae", "prior"), "mean_shift"])


def test_a_new_extractor_is_two_files_and_a_word_in_a_study(
    package: Path, trained_study: StudyFolder, tiny_config: Path
) -> None:
    at, name = trained_study, "coarse-pixels"
    (package / "config" / "evaluators" / "coarse_pixels.py").write_text(FACTS)
    (package / "evaluation" / "extractors" / "coarse_pixels.py").write_text(NETWORK)
    data = at.data("stripes")
    images = {at.reference("stripes", split): data.images(split) for split in ("train", "test")}
    for model, rows in {**RUNS, "calibration": "real noise"}.items():
        for row in map(at.run("stripes", model, 0).samples, rows.split()):
            images[row.features(name).parent] = row.samples
    extract = ["features", "--config", at.config, "--dataset", "stripes"]
    commands = [[*extract, "--images", array, "--out", out] for out, array in images.items()]
    commands += [["evaluate", "--run", at.run("stripes", model, 0).folder] for model in RUNS]
    commands += [["rfid", "--config", at.run("stripes", "vae", 0).config]]
    commands += [["rank", "--config", at.config], ["league", "--config", at.config]]
    run(package, at, tiny_config, {"evaluation": {"extractors": ["classifier", name]}}, commands)

    table = pd.read_csv(at.league, keep_default_na=False).set_index(["model", "extractor"])
    assert table.loc[("ddpm", name), "inception_score"] == "no class logits"
    assert float(table.loc[("vae", name), "reconstruction_fid"]) > 0
    for model, row in {"vae": "prior", "ddpm": "ddim-3"}.items():
        samples = read_array(at.run("stripes", model, 0).samples(row).samples)
        fid = float(table.loc[(model, name), "fid"])
        assert fid == pytest.approx(
            distance(samples, read_array(at.data("stripes").images("train")))
        )


def distance(generated: NDArray[np.uint8], real: NDArray[np.uint8]) -> float:
    """Frechet distance of the means over blocks of 2 x 2 pixels, by its definition.

    |m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2))
    """
    blocks = [x.reshape(len(x), 4, 2, 4, 2).mean(axis=(2, 4)) for x in (generated, real)]
    x, y = (part.reshape(len(part), 16).astype(float) for part in blocks)
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    means = x.mean(axis=0) - y.mean(axis=0)
    return float(means @ means + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root))
