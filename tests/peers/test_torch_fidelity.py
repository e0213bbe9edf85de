"""FID, KID, inception score, precision and recall are those of torch-fidelity's command line.

Both get the same images, it as two folders of PNG files, and the same Inception network. Weights
are random, since its own would have to be downloaded. FID is measured on Inception's layer of 64
dimensions, because GenLab refuses fewer images than dimensions.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.fidelity import main as command_line
from torch_fidelity.utils import create_feature_extractor

from genlab.config.study import EvaluationConfig
from genlab.evaluation.extractors import features_of, make_extractor
from genlab.evaluation.extractors.inception_v3_compat import InceptionV3
from genlab.evaluation.metrics import Comparison
from genlab.evaluation.metrics.fid import frechet
from genlab.evaluation.metrics.inception_score import InceptionScore
from genlab.evaluation.metrics.kid import KID
from genlab.evaluation.metrics.precision_recall import PrecisionRecall

INCEPTION = InceptionV3.name
SIDE = 16
SMALL_LAYER = "64"
BATCH = 4  # images at a time; layers of more than 32 MiB are slow to allocate
CPU = torch.device("cpu")


class RandomInception(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The architecture with random weights, instead of those it would load."""

    def load_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Keep the random weights."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save({}, path)
    torch.manual_seed(0)
    network = RandomInception(INCEPTION, list(InceptionV3.layers), str(path))
    for weight in network.parameters():
        if weight.ndim > 1:  # He's initialisation: features differ from image to image
            torch.nn.init.kaiming_normal_(weight)
    network.fc.weight.data *= 10  # clear classes, so that the score is not 1
    torch.save(network.state_dict(), path)
    return path


def pictures(n: int, seed: int, blur: float) -> NDArray[np.uint8]:
    """Random images [n, 3, SIDE, SIDE] of different contrast."""
    random = np.random.default_rng(seed)
    smooth = gaussian_filter(random.standard_normal((n, 3, SIDE, SIDE)), (0, 0, blur, blur))
    contrast = random.uniform(10, 90, (n, 1, 1, 1))
    return (128 + contrast * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


@pytest.fixture
def fidelity(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., dict[str, float]]:
    """`fidelity(a, b, "--kid")` runs torch-fidelity's command line on two sets of images."""

    def run(a: NDArray[np.uint8], b: NDArray[np.uint8], *arguments: str) -> dict[str, float]:
        for name, images in (("a", a), ("b", b)):
            (tmp_path / name).mkdir()
            for i, image in enumerate(images):
                picture = Image.fromarray(image.transpose(1, 2, 0))
                picture.save(tmp_path / name / f"{i:03}.png")
        fixed = ["--cpu", "--json", "--silent", "--no-cache", "--feature-extractor", INCEPTION]
        fixed += ["--batch-size", str(BATCH)]
        inputs = ["--input1", str(tmp_path / "a"), "--input2", str(tmp_path / "b")]
        given = ["--feature-extractor-weights-path", str(weights), *inputs, *arguments]
        monkeypatch.setattr(sys, "argv", ["fidelity", *fixed, *given])
        command_line()
        result: dict[str, float] = json.loads(capsys.readouterr().out)
        return result

    return run


def test_fid_is_equal(weights: Path, fidelity: Callable[..., dict[str, float]]) -> None:
    images = pictures(66, 0, 1.0), pictures(66, 1, 1.2)
    theirs = fidelity(*images, "--fid", "--feature-layer-fid", SMALL_LAYER)
    network = create_feature_extractor(
        INCEPTION, [SMALL_LAYER], cuda=False, feature_extractor_weights_path=str(weights),
        verbose=False,
    )  # fmt: skip
    with torch.no_grad():
        features = [
            torch.cat([network(batch)[0] for batch in torch.from_numpy(x).split(BATCH)]).numpy()
            for x in images
        ]
    expected = theirs["frechet_inception_distance"]
    assert frechet(*features) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_kid_inception_score_precision_and_recall_are_equal(
    weights: Path, fidelity: Callable[..., dict[str, float]]
) -> None:
    """Their KID of one subset that holds all images is the U-statistic of all."""
    images = pictures(8, 0, 1.0), pictures(8, 1, 1.5)
    config = EvaluationConfig(samples=16, weights={INCEPTION: str(weights)}, splits=2)
    theirs = fidelity(
        *images, "--isc", "--kid", "--prc", "--isc-splits", "2",
        "--kid-subset-size", "8", "--kid-subsets", "1",
    )  # fmt: skip
    extractor = make_extractor(INCEPTION, None, config, CPU)
    comparison = Comparison(*(features_of(extractor, x, CPU) for x in images), config)
    values = {
        name: value
        for metric in (InceptionScore(), KID(), PrecisionRecall())
        for name, value in metric.compute(comparison).items()
    }
    for name, their_name in {
        "inception_score": "inception_score_mean",
        "inception_score_std": "inception_score_std",
        "kid": "kernel_inception_distance_mean",
        "precision": "precision",
        "recall": "recall",
    }.items():
        assert values[name] == pytest.approx(theirs[their_name], rel=1e-6, abs=1e-6)
