"""The stage `disentangle`: it measures the posterior means of all images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny import make_study

from genlab.errors import GenLabError
from genlab.evaluation.disentanglement import information_matrix
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.latents import ACTIVE, encode
from genlab.report.sections.disentanglement import importance_matrix
from genlab.results.layout import StudyFolder
from genlab.workflow.disentangle import disentangle
from genlab.workflow.models import load_trained
from genlab.workflow.train import train


@pytest.fixture
def shapes(tmp_path: Path, tiny_config: Path) -> StudyFolder:
    """The tiny VAE trained on the smallest sprites."""
    config = tmp_path / "config"
    shutil.copytree(tiny_config, config)
    sizes = {"source": "sprites", "size": 24, "scales": 2, "rotations": 2, "positions": 4}
    (config / "datasets/shapes.yaml").write_text(yaml.safe_dump(sizes))
    study = make_study(tmp_path / "results", config, {"datasets": ["shapes"]})
    train(study.run("shapes", "vae", 0), cpu=True)
    return study


def test_the_stage_measures_the_posterior_means_of_all_images(shapes: StudyFolder) -> None:
    run = shapes.run("shapes", "vae", 0)
    disentangle(run, cpu=True)
    result, written = read_json(run.disentanglement), run.disentanglement.read_bytes()
    assert result["factors"] == ["shape", "scale", "rotation", "x", "y"]
    assert result["images"] == 3 * 2 * 2 * 4 * 4
    assert np.shape(result["information"]) == np.shape(result["importance"]) == (5, 2)
    splits = ("train", "test")
    images = np.concatenate([read_array(run.data.images(split)) for split in splits])
    factors = np.concatenate([read_array(run.data.factors(split)) for split in splits])
    latents = encode(load_trained(run), images, "cpu").double().numpy()  # type: ignore[arg-type]
    # Float32 sums over the images, in another order.
    assert result["variance"] == pytest.approx(latents.var(axis=0), rel=1e-4)
    latents[:, latents.var(axis=0) <= ACTIVE] = 0
    assert result["active"] == (latents.var(axis=0) > 0).sum()
    information = information_matrix(latents, factors)
    # Latents of another batch differ in a last bit: a value or two may fall into another bin.
    np.testing.assert_allclose(result["information"], information, atol=0.03)
    assert result["mig"] == pytest.approx(np.mean(result["gaps"]))
    assert result["dci_informativeness"] == pytest.approx(np.mean(result["accuracy"]))
    record = read_json(run.outbox / "disentangle.json")
    assert record["metrics"]["final/mig"] == result["mig"]
    assert list(record["artifacts"]) == ["disentanglement.json"]
    assert importance_matrix(result) == importance_matrix(result)
    disentangle(run, cpu=True)
    assert run.disentanglement.read_bytes() == written


def test_unknown_factors_and_models_without_latents_are_refused(
    trained_study: StudyFolder,
) -> None:
    run = trained_study.run("stripes", "vae", 0)
    with pytest.raises(
        GenLabError, match=r"manifest\.json: no factors: .* those of 'stripes' are not"
    ):
        disentangle(run, cpu=True)
    assert not run.disentanglement.exists()
