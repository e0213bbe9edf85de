"""The two feature extractors: Inception with weights from a file, and the domain classifier."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from traps import Trap

from genlab.config.base import read_yaml
from genlab.config.evaluators.inception_v3_compat import (
    INCEPTION,
    INCEPTION_FEATURES,
    weights_problem,
)
from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation.extractors import make_extractor
from genlab.evaluation.extractors.inception_v3_compat import LAYERS
from genlab.io.arrays import read_array, write_array
from genlab.results.layout import StudyFolder
from genlab.workflow.features import features, features_origin, load_extractor, read_features
from genlab.workflow.models import load_trained

CPU = torch.device("cpu")


class Untrained(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The very architecture with random weights, instead of those it would load."""

    def load_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Keep the random weights."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of generated weights for Inception."""
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "none")
    torch.manual_seed(0)
    network = Untrained(INCEPTION, list(LAYERS), str(folder / "none"))
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


def use(at: StudyFolder, weights: Path) -> None:
    """Let the study's evaluation name a file of Inception's weights."""
    config = read_yaml(at.evaluation) | {"inception_weights": str(weights)}
    at.evaluation.write_text(yaml.safe_dump(config))


def test_inception_reads_its_weights_from_a_file(
    weights: Path, tiny_study: Callable[..., StudyFolder], tmp_path: Path
) -> None:
    """Grey images are seen as three equal channels."""
    at = tiny_study()
    use(at, weights)
    grey = np.array(read_array(at.data("stripes").images("test"))[:3])
    write_array(tmp_path / "grey.npy", grey)
    write_array(tmp_path / "rgb.npy", grey.repeat(3, axis=1))
    result = {}
    for name in ("grey", "rgb"):
        features(at, "stripes", tmp_path / f"{name}.npy", tmp_path, cpu=True)
        origin = features_origin(at, "stripes", INCEPTION, tmp_path / f"{name}.npy")
        result[name] = read_features(tmp_path / f"{INCEPTION}.npz", origin)
    assert result["grey"]["features"].shape == (3, 2048)
    assert result["grey"]["logits"].shape == (3, 1008)
    assert np.array_equal(result["grey"]["features"], result["rgb"]["features"])
    assert not np.allclose(result["grey"]["features"][0], result["grey"]["features"][1])


def test_a_pickle_in_place_of_the_weights_is_refused_and_not_unpickled(
    tiny_study: Callable[..., StudyFolder], genlab: Callable[..., Any], tmp_path: Path
) -> None:
    """Though torch-fidelity itself loads weights by the full unpickler."""
    at = tiny_study()
    torch.save({"fc.weight": Trap(tmp_path / "sprung")}, tmp_path / "weights.pth")
    use(at, tmp_path / "weights.pth")
    ended = genlab(
        "features", "--config", at.config, "--dataset", "stripes",
        "--images", at.data("stripes").images("test"), "--out", tmp_path / "out",
    )  # fmt: skip
    assert ended.status == 1
    assert f"the extractor '{INCEPTION}' can't be made ({tmp_path}/weights.pth)" in ended.err
    assert "set evaluation.inception_weights to a local file of tensors" in ended.err
    assert not (tmp_path / "sprung").exists()
    assert not (tmp_path / "out" / f"{INCEPTION}.npz").exists()


def _torn(path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(3)}, path)
    path.write_bytes(path.read_bytes()[:200])


def _zip_of_junk(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", b"junk")
        archive.writestr("weights/version", "3")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), r"inception_weights: .*weights\.pth: no such file"),
        (
            lambda path: path.write_bytes(b""),
            r"inception_weights: .*weights\.pth: the file is empty",
        ),
        (lambda path: path.write_text("no weights"), r"weights\.pth: not a file of weights"),
        (_torn, r"can't be made .*weights\.pth.*: .+ Where nothing can"),
        (_zip_of_junk, r"can't be made .*weights\.pth.*: .+ Where nothing can"),
        (
            lambda path: torch.save({"fc.weight": torch.zeros(3)}, path),
            r"can't be made .*weights\.pth.*: .+ Where nothing can",
        ),
        (
            lambda path: torch.save([1, 2], path),
            r"can't be made .*weights\.pth.*: .+ Where nothing can",
        ),
    ],
    ids=["missing", "empty", "text", "torn", "zip of junk", "another architecture", "no weights"],
)
def test_weights_that_do_not_fit_are_refused(
    spoil: Callable[[Path], object],
    reason: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"")
    spoil(path)
    config = EvaluationConfig(inception_weights=str(path))
    with pytest.raises(GenLabError, match=reason):
        make_extractor(INCEPTION, None, config, CPU)


@pytest.mark.parametrize("zipped", [True, False])
def test_planning_accepts_both_formats_of_torch(zipped: bool, tmp_path: Path) -> None:
    """That of today, a zip, and that of before torch 1.6."""
    path = tmp_path / "weights.pth"
    torch.save({"x": torch.zeros(1)}, path, _use_new_zipfile_serialization=zipped)
    assert weights_problem(str(path)) is None


def test_the_dimensions_of_inception_are_those_that_planning_counts_with(weights: Path) -> None:
    config = EvaluationConfig(inception_weights=str(weights))
    network = make_extractor(INCEPTION, None, config, CPU)
    features, logits = network(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert features.shape == (1, INCEPTION_FEATURES)
    assert logits.shape == (1, 1008)


def test_a_model_that_is_no_classifier_is_refused(trained_study: StudyFolder) -> None:
    vae = load_trained(trained_study.run("stripes", "vae", 0))
    with pytest.raises(GenLabError, match="needs a Classifier, not a VAE"):
        make_extractor("classifier", vae, EvaluationConfig(), CPU)


def test_a_classifier_that_is_not_trained_yet_is_named(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    with pytest.raises(GenLabError, match=r"weights\.safetensors: no such file; run `genlab tr"):
        load_extractor(tiny_study(), "stripes", "classifier", torch.device("cpu"))


def test_an_unknown_extractor_is_named_with_the_nearest_one(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    with pytest.raises(GenLabError, match="'clasifier': did you mean 'classifier'"):
        load_extractor(tiny_study(), "stripes", "clasifier", torch.device("cpu"))
