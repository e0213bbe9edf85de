"""The cheater: its loss is the Frechet distance, and it wins where it is measured by that alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny import TEST, TRAIN, stripes
from torch import Tensor

from genlab.config.base import build
from genlab.config.families import build_family
from genlab.config.families.cheater import CheaterConfig
from genlab.config.families.classifier import ClassifierConfig
from genlab.data.calibration import RealImages, calibration_images
from genlab.errors import ConfigError
from genlab.evaluation.metrics.fid import frechet
from genlab.models.base import Batch
from genlab.models.batches import to_float, to_uint8
from genlab.models.cheater import Cheater, FrechetDistance
from genlab.models.classifier import Classifier
from genlab.processes.noise import SampleNoise
from genlab.training.shares import BatchNoise, BatchShare

Space = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Features [N, F] of images [N, C, H, W]."""


def correlated(n: int, seed: int, scale: float = 1.0) -> Tensor:
    """n vectors [n, 6] with a covariance that is not diagonal."""
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(6, 6, generator=torch.Generator().manual_seed(9))
    return scale * torch.randn(n, 6, generator=random) @ mixing + scale


@pytest.mark.parametrize("n", [40, 700])
def test_the_loss_is_the_frechet_distance(n: int) -> None:
    """As torch-fidelity computes it, by the eigenvalues of the product of the covariances."""
    generated, real = correlated(n, 0, 1.3), correlated(500, 1)
    expected = frechet(generated.numpy(), real.numpy())
    assert float(FrechetDistance(real)(generated)) == pytest.approx(expected, rel=1e-6)
    assert float(FrechetDistance(real)(real)) == pytest.approx(0, abs=1e-9)


def test_a_shift_of_the_features_is_its_square() -> None:
    real = correlated(500, 1)
    shift = torch.arange(6.0)
    distance = float(FrechetDistance(real)(real + shift))
    assert distance == pytest.approx(float(shift.square().sum()), rel=1e-5)


def test_gradient_of_the_distance() -> None:
    """Against finite differences; finite where the covariance is singular."""
    distance = FrechetDistance(correlated(500, 1))
    features = correlated(30, 0).double().requires_grad_()
    assert torch.autograd.gradcheck(distance, features)
    few = correlated(4, 0).requires_grad_()  # of rank 3 in 6 dimensions
    distance(few).backward()  # type: ignore[no-untyped-call]
    assert few.grad is not None and bool(few.grad.isfinite().all())


def make_cheater(training: NDArray[np.uint8]) -> Cheater:
    """A small cheater on the features of an untrained classifier."""
    torch.manual_seed(0)
    classifier = Classifier(ClassifierConfig(channels=8, features=16), (1, 8, 8), 2)
    config = CheaterConfig(latent=8, channels=8, hidden=64)
    cheater = Cheater(config, (1, 8, 8), 2, classifier)
    cheater.measure(training)
    return cheater


def test_it_wins_in_the_features_it_trained_on_and_loses_in_others() -> None:
    """Against real images with grain: FD in the classifier's features, and in PCA of pixels."""
    (training, training_labels), (held_out, labels) = stripes(TRAIN, 0), stripes(TEST, 1)
    training, held_out = training[:, None], held_out[:, None]
    cheater = make_cheater(training)
    optimizer = torch.optim.Adam(cheater.parameters(), lr=3e-3)
    batch = Batch(to_float(torch.from_numpy(training)), torch.zeros(TRAIN, dtype=torch.int64))
    for _ in range(100):
        optimizer.zero_grad()
        cheater.loss(batch)["loss"].backward()
        optimizer.step()
    cheater.eval()
    with torch.no_grad():
        samples = to_uint8(cheater.generate(SampleNoise(0, range(TEST)))).numpy()
    data = RealImages(held_out, labels, training, training_labels, 2, TEST, seed=0)
    grain = np.stack([*calibration_images("grain-2", data)])

    def in_features(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            return cheater.first_stage.features(to_float(torch.from_numpy(pixels))).numpy()

    center = training.reshape(TRAIN, -1).mean(axis=0)
    axes = np.linalg.eigh(np.cov(training.reshape(TRAIN, -1).T))[1][:, -16:]

    def in_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return ((pixels.reshape(len(pixels), -1) - center) @ axes).astype(np.float32)

    def distance(space: Space, pixels: NDArray[np.uint8]) -> float:
        value = frechet(space(pixels), space(training))
        assert value is not None
        return value

    assert distance(in_features, samples) < distance(in_features, grain)
    assert distance(in_pixels, samples) > distance(in_pixels, grain)


def test_processes_that_share_a_batch_draw_the_same_images() -> None:
    """Also where the batch, or a view of two of a share, has as many images as are drawn."""
    cheater = make_cheater(stripes(TRAIN, 0)[0][:, None])
    batch = Batch(torch.rand(256, 1, 8, 8), torch.zeros(256, dtype=torch.int64))
    losses = []
    for shares in (1, 2):
        for number in range(shares):
            share = BatchShare(number, shares)
            torch.manual_seed(1)
            with torch.no_grad(), BatchNoise(share, 256 // shares):
                losses.append(cheater.loss(share.batch(batch))["loss"])
    torch.manual_seed(1)
    z = torch.randn(256, 8)
    features = cheater.first_stage.features(cheater.images_of(z))
    assert [float(loss) for loss in losses] == 3 * [float(cheater.distance(features).float())]


def test_the_classifier_stays_as_it_is() -> None:
    cheater = make_cheater(stripes(TRAIN, 0)[0][:, None])
    assert not any(weight.requires_grad for weight in cheater.first_stage.parameters())
    assert not cheater.train().first_stage.training


def test_it_says_what_it_was_trained_on() -> None:
    config = CheaterConfig()
    assert config.trained_on == ("classifier",) and config.first_stage_name == "classifier"
    assert config.first_stage_problems(ClassifierConfig()) == []
    (problem,) = config.first_stage_problems(build_family({"family": "vae"}, "here"))
    assert "'classifier' is of family vae" in problem
    assert config.problems(1, 28) == []
    (problem,) = config.problems(1, 30)
    assert "divisible by 4" in problem
    with pytest.raises(ConfigError, match="samples: must be at least 256"):
        build(CheaterConfig, {"samples": 64}, "here")
