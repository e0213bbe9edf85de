"""The domain classifier: the shape of its features, its loss, and that it learns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from genlab.config.families.classifier import ClassifierConfig
from genlab.models.base import Batch
from genlab.models.classifier import Classifier, rotate

CONFIG = ClassifierConfig(channels=4, features=8)


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 16, 12), (1, 28, 28)])
def test_features_have_the_configured_dimensions(shape: tuple[int, int, int]) -> None:
    classifier = Classifier(CONFIG, shape, 10).eval()
    images = torch.rand(5, *shape)
    features = classifier.features(images)
    assert features.shape == (5, 8)
    assert classifier.head(features).shape == (5, 10)
    # In evaluation an image's features are its own (dropout is off); another batch size may sum
    # in another order, in float32.
    torch.testing.assert_close(classifier.features(images[:1]), features[:1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_loss_is_the_mean_log_probability_of_the_right_label() -> None:
    classifier = Classifier(CONFIG, (1, 8, 8), 3).eval()
    batch = Batch(torch.rand(7, 1, 8, 8), torch.arange(7) % 3)
    values = classifier.loss(batch)
    p = F.softmax(classifier.head(classifier.features(batch.images)).double(), dim=1)
    right = [float(p[i, label].log()) for i, label in enumerate(batch.labels.tolist())]
    assert float(values["loss"]) == pytest.approx(-sum(right) / 7, rel=1e-5)  # float32
    hits = [int(p[i].argmax()) == label for i, label in enumerate(batch.labels.tolist())]
    assert float(values["accuracy"]) == pytest.approx(sum(hits) / 7)


def test_it_learns_a_small_set_by_heart() -> None:
    """Sixteen images of noise with random labels: nothing but memory can get all of them right."""
    classifier = Classifier(ClassifierConfig(channels=8, features=32), (1, 8, 8), 4)
    batch = Batch(torch.rand(16, 1, 8, 8), torch.randint(4, (16,)))
    optimizer = torch.optim.Adam(classifier.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        classifier(batch)["loss"].backward()
        optimizer.step()
    classifier.eval()
    with torch.no_grad():
        values = classifier.loss(batch)
    assert float(values["accuracy"]) == 1
    assert float(values["loss"]) < 0.1  # nats: nine tenths of the probability on the right label


@torch.no_grad()
def test_without_classes_it_is_asked_how_images_were_turned() -> None:
    """A net that reads the marked corner off the logits is right on all; labels have no part."""

    class Corner(Classifier):
        def features(self, images: torch.Tensor) -> torch.Tensor:
            corners = images[:, 0][:, [0, -1, -1, 0], [0, 0, -1, -1]]  # counter-clockwise
            return F.pad(20 * corners, (0, 4))

    classifier = Corner(CONFIG, (1, 6, 6), 1)
    assert classifier.head.weight.shape == (4, 8)
    classifier.head.weight.copy_(torch.eye(4, 8))
    classifier.head.bias.zero_()
    images = torch.zeros(40, 1, 6, 6)
    images[:, 0, 0, 0] = 1
    values = classifier.loss(Batch(images, torch.zeros(40, dtype=torch.int64)))
    assert float(values["accuracy"]) == 1
    assert float(values["loss"]) < 1e-6


def test_all_quarter_turns_are_shown_alike() -> None:
    images = torch.rand(400, 1, 3, 3)
    turned, quarters = rotate(images)
    for image, result, k in zip(images, turned, quarters.tolist(), strict=True):
        assert torch.equal(result, torch.rot90(image, k, (1, 2)))
    # Of 400 draws a quarter, within five standard deviations of 8.7.
    assert quarters.bincount(minlength=4).sub(100).abs().max() < 44
