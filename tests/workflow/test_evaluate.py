"""The stages `features` and `evaluate`: files of a study to features, and features to metrics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor
from torch.utils.data import TensorDataset
from torch_fidelity import calculate_metrics
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import register_feature_extractor

from genlab.config.base import read_yaml
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.batches import to_float
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_evaluation
from genlab.workflow.evaluate import evaluate
from genlab.workflow.feature_files import features_origin, read_features
from genlab.workflow.features import features, load_extractor
from genlab.workflow.models import load_trained


class Images(TensorDataset):
    """Images as torch-fidelity wants them, uint8 [C, H, W] each."""

    def __init__(self, path: Path) -> None:
        super().__init__(torch.from_numpy(np.array(read_array(path))))

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = super().__getitem__(index)[0]
        return image


def test_our_numbers_are_torch_fidelity_s(trained_study: StudyFolder) -> None:
    """Its public function computes the same from our images, with our extractor registered."""
    at = trained_study
    ours = load_extractor(at, "stripes", "classifier", torch.device("cpu"))

    class Registered(FeatureExtractorBase):  # type: ignore[misc]
        """Our extractor in torch-fidelity's terms."""

        def __init__(self, name: str, features_list: list[str], **kwargs: Any) -> None:
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("features", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "logits" if metric == "isc" else "features"

        @staticmethod
        def can_be_compiled() -> bool:
            return False

        def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
            layers = dict(zip(("features", "logits"), ours(pixels), strict=True))
            return tuple(layers[name] for name in self.features_list)

    register_feature_extractor("ours", Registered)
    row, data = at.run("stripes", "ddpm", 0).samples("ddim-3"), at.data("stripes")
    config = read_evaluation(at.evaluation)
    theirs = calculate_metrics(
        input1=Images(row.samples),
        input2=Images(data.images("train")),
        feature_extractor="ours",
        fid=True, isc=True, prc=True, cuda=False, verbose=False, save_cpu_ram=True,
        isc_splits=config.splits, prc_neighborhood=config.neighbours,
    )  # fmt: skip
    measured = read_json(row.run.metrics)["ddim-3"]["classifier"]
    for name, theirs_name in {
        "fid": "frechet_inception_distance",
        "inception_score": "inception_score_mean",
        "inception_score_std": "inception_score_std",
        "precision": "precision",
        "recall": "recall",
    }.items():
        # Theirs are computed in float32, ours in float64; batches of 64 and of 100.
        assert measured[name] == pytest.approx(theirs[theirs_name], rel=1e-3, abs=1e-5), name
    assert (measured["samples"], measured["reference_images"]) == (32, 96)


def test_real_images_are_near_and_noise_is_far(trained_study: StudyFolder) -> None:
    measured = read_json(trained_study.run("stripes", "calibration", 0).metrics)
    real, noise = measured["real"]["classifier"], measured["noise"]["classifier"]
    assert real["fid"] < 0.1 * noise["fid"]
    assert real["kid"] < 0.1 * noise["kid"]
    assert real["precision"] > 0.8 > noise["precision"]
    # Two classes, so 2 at best; noise is of no class.
    assert 1 <= noise["inception_score"] < real["inception_score"] <= 2
    assert read_json(trained_study.classifier("stripes").summary)["held_out"]["accuracy"] == 1.0


def test_features_are_the_classifier_s_own(trained_study: StudyFolder, tmp_path: Path) -> None:
    at = trained_study
    pixels = torch.from_numpy(np.array(read_array(at.data("stripes").images("test"))))
    classifier: Any = load_trained(at.classifier("stripes"))
    with torch.no_grad():
        expected = classifier.features(to_float(pixels))
    images = at.data("stripes").images("test")
    features(at, "stripes", images, tmp_path)
    origin = features_origin(at, "stripes", "classifier", images)
    result = read_features(tmp_path / "classifier.npz", origin)
    # The same network on the same pixels; batches may add up in another order.
    assert np.allclose(result["features"], expected.numpy(), atol=1e-5)
    assert np.allclose(result["logits"], classifier.head(expected).detach().numpy(), atol=1e-5)


def test_evaluate_finds_the_rows_by_itself(trained_study: StudyFolder) -> None:
    run = trained_study.run("stripes", "ddpm", 0)
    before = read_json(run.metrics)
    run.metrics.unlink()
    evaluate(run)
    assert read_json(run.metrics) == before


def test_damaged_features_are_named(trained_study: StudyFolder, genlab: Callable[..., Any]) -> None:
    run = trained_study.run("stripes", "ddpm", 0)
    path = run.samples("ddim-3").features("classifier")
    path.write_bytes(path.read_bytes()[:100])
    ended = genlab("evaluate", "--run", run.folder)
    assert ended.status == 1
    assert ended.err.startswith(f"error: {path}: not a complete file of features (")


def test_too_few_samples_are_refused_by_the_command(
    trained_study: StudyFolder, genlab: Callable[..., Any]
) -> None:
    config = read_yaml(trained_study.evaluation) | {"samples": 99, "neighbours": 32}
    trained_study.evaluation.write_text(yaml.safe_dump(config))
    ended = genlab("evaluate", "--run", trained_study.run("stripes", "ddpm", 0).folder)
    assert ended.status == 1
    assert "error: evaluation: 32 samples are too few" in ended.err
