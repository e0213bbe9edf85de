"""The denoising autoencoder: its loss, its masks, and that it learns."""

from __future__ import annotations

import pytest
import torch

from genlab.config.families.autoencoder_latent import AutoencoderLatentConfig
from genlab.models.autoencoder_latent import DenoisingAutoencoder
from genlab.models.base import Batch

CONFIG = AutoencoderLatentConfig(channels=4, latent=6, hidden=16)


def batch_of(images: torch.Tensor) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64))


@torch.no_grad()
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 12), (1, 9, 10)])
def test_images_of_any_side_are_encoded_each_by_itself(shape: tuple[int, int, int]) -> None:
    autoencoder = DenoisingAutoencoder(CONFIG, shape, 1).eval()
    images = torch.rand(5, *shape)
    z = autoencoder.encode(images)
    assert z.shape == (5, 6)
    assert autoencoder.decode(z).shape == images.shape
    # Another batch size may sum in another order, in float32.
    torch.testing.assert_close(autoencoder.encode(images[:1]), z[:1], rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_loss_is_the_cross_entropy_of_the_pixels() -> None:
    autoencoder = DenoisingAutoencoder(CONFIG, (1, 8, 8), 1).eval()
    x = torch.rand(4, 1, 8, 8)
    p = autoencoder.decode(autoencoder.encode(x)).double().sigmoid()
    values = autoencoder.loss(batch_of(x))
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).mean()
    assert float(values["loss"]) == pytest.approx(float(expected), rel=1e-5)  # float32
    assert float(values["mse"]) == pytest.approx(float((p - x).square().mean()), rel=1e-5)


@torch.no_grad()
def test_pixels_are_masked_in_training_only_and_in_all_colours_at_once() -> None:
    inputs = []
    autoencoder = DenoisingAutoencoder(CONFIG, (3, 16, 16), 1)
    autoencoder.encoder.register_forward_pre_hook(lambda _, arguments: inputs.append(arguments[0]))
    batch = batch_of(torch.ones(50, 3, 16, 16))
    autoencoder.train().loss(batch)
    autoencoder.eval().loss(batch)
    assert float(inputs[0].mean()) == pytest.approx(0.75, abs=0.02)
    assert torch.equal(inputs[0][:, 0], inputs[0][:, 2])
    assert torch.equal(inputs[1], batch.images)


def test_it_learns_a_small_set_by_heart() -> None:
    images = torch.zeros(8, 1, 16, 16)
    for i in range(8):
        images[i, 0, 2 * i : 2 * i + 2] = 1
    autoencoder = DenoisingAutoencoder(CONFIG, (1, 16, 16), 1)
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        autoencoder(batch_of(images))["loss"].backward()
        optimizer.step()
    with torch.no_grad():
        values = autoencoder.eval().loss(batch_of(images))
    assert float(values["mse"]) < 0.02  # the mean image has 0.11
