"""The contrastive encoder: its loss against brute force, its views, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from genlab.config.families.contrastive import ContrastiveConfig
from genlab.models.base import Batch
from genlab.models.contrastive import Contrastive, augment, blur, crop, jitter, nt_xent

CONFIG = ContrastiveConfig(channels=8, features=16, projection=8)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_nt_xent_is_equation_1_summed_by_hand(temperature: float) -> None:
    b, z = 5, torch.randn(10, 7)
    terms, hits = [], 0
    for i in range(2 * b):
        j = (i + b) % (2 * b)
        sim = [float(F.cosine_similarity(z[i], z[k], dim=0)) for k in range(2 * b)]
        others = [k for k in range(2 * b) if k != i]
        denominator = sum(math.exp(sim[k] / temperature) for k in others)
        terms.append(-math.log(math.exp(sim[j] / temperature) / denominator))
        hits += max(others, key=lambda k: sim[k]) == j
    values = nt_xent(z, temperature)
    assert float(values["loss"]) == pytest.approx(sum(terms) / (2 * b), rel=1e-5)  # float32
    assert float(values["accuracy"]) == pytest.approx(hits / (2 * b))


def test_equal_views_of_orthogonal_images_are_recognised() -> None:
    """sim is 1 for the other view and 0 for the 2B - 2 negatives."""
    values = nt_xent(torch.eye(6).repeat(2, 1), temperature=0.5)
    assert float(values["accuracy"]) == 1
    assert float(values["loss"]) == pytest.approx(math.log1p(10 * math.exp(-2)), rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 16), (1, 9, 9)])
def test_views_are_images_and_differ(shape: tuple[int, int, int]) -> None:
    images = torch.rand(6, *shape)
    one, two = augment(images), augment(images)
    assert one.shape == images.shape
    assert one.min() >= 0 and one.max() <= 1
    assert not torch.equal(one, two)


def test_even_images_stay_even_when_they_are_cropped_or_blurred() -> None:
    """No border of another value creeps in."""
    images = torch.rand(8, 3, 1, 1).expand(8, 3, 12, 12)
    torch.testing.assert_close(crop(images), images)
    torch.testing.assert_close(blur(images), images)


def test_no_view_is_mirrored() -> None:
    """A digit mirrored is no digit: the bright half stays on its side."""
    images = torch.zeros(200, 1, 16, 16)
    images[..., :6] = 1
    views = crop(images)
    assert (views[..., :8].mean(dim=(1, 2, 3)) > views[..., 8:].mean(dim=(1, 2, 3))).all()


def test_grain_and_contrast_are_light() -> None:
    images = torch.full((500, 1, 8, 8), 0.5)
    assert (jitter(images) - 0.5).abs().max() < 0.5 * 0.3 + 0.1 + 5 * 0.03


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 12)])
def test_features_are_those_before_the_head_and_of_each_image_alone(
    shape: tuple[int, int, int],
) -> None:
    encoder = Contrastive(CONFIG, shape, 1).eval()
    images = torch.rand(5, *shape)
    features = encoder.features(images)
    assert features.shape == (5, 16)
    # Another batch size may sum in another order, in float32.
    torch.testing.assert_close(encoder.features(images[:1]), features[:1], rtol=0, atol=1e-5)


def test_it_learns_to_tell_images_apart_without_labels() -> None:
    images = F.interpolate(torch.rand(16, 1, 4, 4), size=16, mode="bilinear")
    encoder = Contrastive(CONFIG, (1, 16, 16), 1)
    batch = Batch(images, torch.zeros(16, dtype=torch.int64))
    optimizer = torch.optim.Adam(encoder.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        encoder(batch)["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        values = encoder.eval().loss(batch)
    assert float(values["accuracy"]) > 10 / 31  # ten times as often as by chance
