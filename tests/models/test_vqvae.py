"""The VQ-VAE: its likelihoods against sums and torch.distributions, and that it learns."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import awake
from torch import Tensor
from torch.distributions import Normal

from genlab.config.base import build
from genlab.config.families import build_family
from genlab.config.families.dvae import DVAEConfig
from genlab.config.families.vqvae import VQVAEConfig
from genlab.errors import ConfigError
from genlab.models.base import Batch
from genlab.models.batches import to_float
from genlab.models.dvae import DVAE
from genlab.models.vqvae import VQVAE
from genlab.nn.densities import grey_values
from genlab.nn.likelihoods import PredictedLogistic

likelihoods = pytest.mark.parametrize("likelihood", ["gaussian", "logistic"])


def make_vqvae(
    likelihood: Literal["gaussian", "logistic"],
    shape: tuple[int, int, int] = (1, 8, 8),
    **changes: Any,
) -> VQVAE:
    """An awake one, whose codes have been taken from encodings of noise, so that all are used."""
    config = VQVAEConfig(likelihood=likelihood, codes=8, latent=3, channels=4)
    vqvae = awake(VQVAE(config.model_copy(update=changes), shape, 10))
    vqvae.quantiser.train()
    vqvae.quantise(torch.rand(16, *shape))
    return vqvae.eval()


def batch_of(images: Tensor, epoch: int = 0) -> Batch:
    return Batch(images, torch.zeros(len(images), dtype=torch.int64), epoch=epoch)


def grey(*shape: int) -> Tensor:
    """Images of the 256 grey values, on [0, 1]."""
    return to_float(torch.randint(256, shape))


@given(location=st.floats(-3, 3), log_scale=st.floats(-9, 3))
def test_the_logistic_s_256_grey_values_sum_to_one(location: float, log_scale: float) -> None:
    images = to_float(torch.arange(256)).reshape(256, 1, 1, 1).double()
    decoded = torch.tensor([location, log_scale], dtype=torch.float64).reshape(1, 2, 1, 1)
    p = PredictedLogistic().log_prob(images, decoded.expand(256, -1, -1, -1)).exp()
    assert float(p.sum()) == pytest.approx(1, abs=1e-9)  # float64, but 255 x from float32 images


@given(location=st.floats(-2, 2), log_scale=st.floats(-2, 3))
def test_the_logistic_s_mean_is_that_of_its_256_grey_values(
    location: float, log_scale: float
) -> None:
    """But for the rounding: the midpoint rule of an integral in steps of 1/255 is off by less."""
    values = to_float(torch.arange(256)).reshape(256, 1, 1, 1).double()
    decoded = torch.tensor([location, log_scale], dtype=torch.float64).reshape(1, 2, 1, 1)
    logistic = PredictedLogistic()
    p = logistic.log_prob(values, decoded.expand(256, -1, -1, -1)).exp()
    # At a scale s >= exp(-4), max |S''| / (24 255^2) = .1 / s^2 / 1.6e6 = 2e-4
    assert float(logistic.mean(decoded)) == pytest.approx(float((p * values).sum()), abs=3e-4)


def test_the_gaussian_is_that_of_torch() -> None:
    vqvae = make_vqvae("gaussian")
    pixels, indices = torch.rand(5, 1, 8, 8), torch.randint(8, (5, 2, 2))
    mean = vqvae.likelihood.mean(vqvae.decode_indices(indices))
    sigma = next(vqvae.likelihood.parameters()).exp()
    expected = Normal(mean, sigma).log_prob(pixels).sum(dim=(1, 2, 3))
    # float32 sums of 64 terms of size 1
    torch.testing.assert_close(vqvae.log_p(pixels, indices), expected, rtol=1e-5, atol=1e-4)


@likelihoods
@torch.no_grad()
def test_p_of_y_given_the_codes_is_a_density(likelihood: Literal["gaussian", "logistic"]) -> None:
    """Of one pixel y, all others fixed: it integrates to 1, over [0, 1) or over R."""
    vqvae = make_vqvae(likelihood, (1, 4, 4))
    indices = torch.randint(8, (1, 1, 1))
    low, high = (0, 1) if likelihood == "logistic" else (-12, 13)
    n = 256 * 8 * (high - low)
    y = low + (high - low) * (torch.arange(n) + 0.5) / n
    pixels = torch.full((n, 1, 4, 4), 0.5)
    pixels[:, 0, 1, 2] = y
    log_p = vqvae.likelihood.log_prob(
        grey_values(pixels) if likelihood == "logistic" else pixels, vqvae.decode_indices(indices)
    )[:, 0, 1, 2]
    log_y = log_p + (math.log(256) if likelihood == "logistic" else 0)
    # Midpoints of eight steps a grey value, where the logistic is constant; float32 sums
    assert float(log_y.exp().double().sum() * (high - low) / n) == pytest.approx(1, abs=1e-3)
    # ... and log_p is that, over all pixels
    whole = vqvae.log_p(pixels[:1], indices) - vqvae.log_p(pixels[1:2], indices)
    torch.testing.assert_close(whole[0], log_y[0] - log_y[1], rtol=0, atol=1e-3)


@likelihoods
@torch.no_grad()
def test_loss_is_the_sum_of_its_parts(likelihood: Literal["gaussian", "logistic"]) -> None:
    """-log p(x|e) in nats a pixel and the weighted commitment; the same density as `log_p`'s."""
    vqvae, images = make_vqvae(likelihood, commitment=0.7), grey(6, 1, 8, 8)
    values = vqvae.loss(batch_of(images))
    assert torch.equal(values["loss"], values["distortion"] + 0.7 * values["commitment"])
    indices = vqvae.encode_indices(images)
    if likelihood == "logistic":
        y = (255 * images + torch.rand(6, 1, 8, 8)) / 256
        nats = 64 * math.log(256) - vqvae.log_p(y, indices)
    else:
        nats = -vqvae.log_p(images, indices)
    torch.testing.assert_close(values["distortion"], nats.mean() / 64, rtol=1e-4, atol=1e-4)
    error = vqvae.reconstruct(images) - images
    torch.testing.assert_close(values["mse"], error.square().mean(), rtol=1e-5, atol=1e-7)
    assert int(values["used_codes"]) == len(indices.unique())


def test_dequantised_pixels_are_shown_to_the_encoder_as_in_training() -> None:
    """floor(256 y) / 255 is the image, for every grey value and the least and the most noise."""
    images = to_float(torch.arange(256))
    for u in (0.0, 0.5, 1 - 2**-15):  # float32 y near 1 have steps of 2**-24, that is 2**-16 of u
        assert torch.equal(grey_values((255 * images + u) / 256), images)
    # The last u below 1 rounds white's y up to 1, which is white still.
    assert float(grey_values((255 * images[-1] + (1 - 2**-24)) / 256)) == 1


@likelihoods
def test_it_learns_eight_images_by_heart(likelihood: Literal["gaussian", "logistic"]) -> None:
    """At most a tenth of the images' variance is left unexplained, with codes in use."""
    torch.manual_seed(0)
    vqvae = VQVAE(
        VQVAEConfig(likelihood=likelihood, codes=16, latent=4, channels=8, decay=0.9), (1, 8, 8), 10
    )
    y, x = torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 8), indexing="ij")
    angles = (torch.arange(8) * math.pi / 4)[:, None, None]
    images = (0.5 + (angles.cos() * x + angles.sin() * y) / 8**0.5)[:, None]
    optimizer = torch.optim.Adam(vqvae.parameters(), lr=1e-2)
    for step in range(150):
        values = vqvae(batch_of(images, epoch=step))
        optimizer.zero_grad()
        values["loss"].backward()
        optimizer.step()
    assert float(values["used_codes"]) >= 8
    with torch.no_grad():
        again = vqvae.eval().reconstruct(images)
    unexplained = (again - images).square().mean() / (images - images.mean(dim=0)).square().mean()
    assert float(unexplained) < 0.1


@settings(max_examples=20)
@given(
    channels=st.integers(1, 3),
    rows=st.integers(1, 3),
    columns=st.integers(1, 3),
    levels=st.integers(1, 3),
    blocks=st.integers(1, 2),
    batch=st.integers(1, 3),
    likelihood=st.sampled_from(["gaussian", "logistic"]),
)
@torch.no_grad()
def test_shapes(
    channels: int,
    rows: int,
    columns: int,
    levels: int,
    blocks: int,
    batch: int,
    likelihood: Literal["gaussian", "logistic"],
) -> None:
    """A grid of side / 2**levels, and reconstructions on [0, 1], for any image it divides."""
    shape = (channels, rows * 2**levels, columns * 2**levels)
    vqvae = make_vqvae(likelihood, shape, levels=levels, blocks=blocks)
    images = torch.rand(batch, *shape)
    indices = vqvae.encode_indices(images)
    assert vqvae.grid == (rows, columns) and indices.shape == (batch, rows, columns)
    again = vqvae.reconstruct(images)
    assert again.shape == images.shape and again.dtype == torch.float32
    assert 0 <= float(again.min()) <= float(again.max()) <= 1
    assert vqvae.log_p(images, indices).shape == (batch,)


@pytest.mark.parametrize(("family", "config"), [(VQVAE, VQVAEConfig), (DVAE, DVAEConfig)])
def test_a_code_is_chosen_by_its_patch_alone(
    family: type[VQVAE | DVAE], config: type[VQVAEConfig | DVAEConfig]
) -> None:
    """Two convolutions of 4 x 4 in steps of 2 bring 10 x 10 pixels to a place."""
    model = awake(family(config(codes=8, latent=3, channels=8), (1, 24, 24), 10))
    images = torch.rand(1, 1, 24, 24, requires_grad=True)
    model.encoder(images)[..., 2, 3].square().sum().backward()
    assert images.grad is not None
    receptive_field = torch.zeros(24, 24, dtype=torch.bool)
    receptive_field[4 * 2 - 3 : 4 * 2 + 7, 4 * 3 - 3 : 4 * 3 + 7] = True
    assert torch.equal(images.grad[0, 0] != 0, receptive_field)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"codes": 1}, "codes"),
        ({"latent": 0}, "latent"),
        ({"commitment": -0.1}, "commitment"),
        ({"decay": 1.0}, "decay"),
        ({"restart_below": -1}, "restart_below"),
        ({"levels": 0}, "levels"),
        ({"likelihood": "bernoulli"}, "likelihood"),
        ({"code": 8}, "'codes'"),
    ],
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(VQVAEConfig, {"family": "vqvae", **values}, "here")


def test_a_side_that_does_not_divide_is_refused() -> None:
    config = build_family({"family": "vqvae", "levels": 3}, "here")
    assert config.problems(1, 32) == []
    (problem,) = config.problems(1, 28)
    assert "levels: 3" in problem and "divisible by 8" in problem and "28" in problem


def test_the_variant_names_codes_grid_and_likelihood() -> None:
    config = VQVAEConfig(codes=64, levels=3, likelihood="gaussian")
    assert config.variant == "64 codes, side / 8, gaussian"
    assert config.likelihoods == () and "prior" in config.no_likelihood
