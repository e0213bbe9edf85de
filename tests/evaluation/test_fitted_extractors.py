"""The extractors that are fitted to the training images: principal components, and statistics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from genlab.config.evaluators import extractor
from genlab.config.study import EvaluationConfig
from genlab.evaluation.extractors import Extractor, evenly, features_of, make_extractor
from genlab.evaluation.extractors.low_level import (
    ROUNDING,
    SMALLEST_STD,
    expand,
    laplacian_pyramid,
    moments_of,
    reduce,
    shares,
    statistics,
)
from genlab.evaluation.metrics.fid import frechet
from genlab.io.arrays import read_array, write_array
from genlab.results.layout import StudyFolder
from genlab.workflow.feature_files import features_origin

CPU = torch.device("cpu")
BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16
Pixels = NDArray[np.uint8]


def blobs(n: int, seed: int, channels: int = 1, side: int = 16) -> Pixels:
    """Bright smooth blobs on black ground, uint8 [n, channels, side, side]."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((n, channels, side, side))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 0, 1.5, 1.5), mode="wrap")
    return (255 * smooth / 0.3).round().clip(0, 255).astype(np.uint8)


def fitted(name: str, images: Pixels) -> Extractor:
    return make_extractor(name, None, EvaluationConfig(extractors=(name,)), CPU, images)


def features(name: str, training: Pixels, images: Pixels) -> NDArray[np.float32]:
    return features_of(fitted(name, training), images, CPU)["features"]


@pytest.mark.parametrize("channels", [1, 3])
def test_pixel_pca_is_that_of_scikit_learn(channels: int) -> None:
    """Up to the sign of a component: here its largest weight is positive."""
    training, others = blobs(300, 0, channels), blobs(50, 1, channels)
    x, y = (images.reshape(len(images), -1) / 255 for images in (training, others))
    reference = PCA(64, whiten=True, svd_solver="full").fit(x)
    expected = reference.transform(y)
    expected *= np.sign(
        reference.components_[np.arange(64), np.abs(reference.components_).argmax(axis=1)]
    )
    # The rounding of pixels, which scikit-learn knows nothing of, shrinks the smallest component.
    expected *= np.sqrt(reference.explained_variance_ / (reference.explained_variance_ + ROUNDING))
    np.testing.assert_allclose(features("pixel-pca", training, others), expected, atol=2e-3)


def test_pixel_pca_of_few_pixels_or_an_even_margin_scales_up_no_rounding_error() -> None:
    small = np.random.default_rng(0).integers(0, 256, (40, 1, 4, 4)).astype(np.uint8)
    small[:, :, 0] = 0
    result = features("pixel-pca", small, small)
    assert result.shape == (40, 16)
    assert np.allclose(np.sort(result.var(axis=0, ddof=1))[:4], 0, atol=1e-6)
    assert np.allclose(np.sort(result.var(axis=0, ddof=1))[4:], 1, atol=0.01)


def test_pixel_pca_averages_large_images_first() -> None:
    large = blobs(80, 0, side=64)
    blocks = large.reshape(80, 1, 32, 2, 32, 2).mean(axis=(3, 5)).reshape(80, -1) / 255
    result = features("pixel-pca", large, large)
    assert np.allclose(result.var(axis=0, ddof=1), 1, atol=0.01)
    expected = PCA(64, whiten=True, svd_solver="full").fit_transform(blocks)
    assert np.allclose(np.abs(result[:, :5]), np.abs(expected[:, :5]), atol=0.01)


@pytest.mark.parametrize("side", [28, 15, 8])
def test_the_pyramid_is_that_of_scipy_s_filters(side: int) -> None:
    """REDUCE filters and leaves out every other pixel; EXPAND filters between zeros."""
    image = np.random.default_rng(0).random((side, side))
    g = torch.from_numpy(image).float()[None, None]
    low = image
    for axis in (0, 1):
        low = scipy.ndimage.convolve1d(low, BINOMIAL, axis=axis, mode="nearest")
    low = low[::2, ::2]
    assert np.allclose(reduce(g)[0, 0], low, atol=1e-6)
    padded = np.pad(low, 2, mode="edge")
    zeros = np.zeros((2 * len(padded), 2 * len(padded)))
    zeros[::2, ::2] = padded
    for axis in (0, 1):
        zeros = scipy.ndimage.convolve1d(zeros, 2 * BINOMIAL, axis=axis, mode="constant")
    high = zeros[4 : 4 + side, 4 : 4 + side]
    assert np.allclose(expand(reduce(g), side, side)[0, 0], high, atol=1e-5)
    assert np.allclose(laplacian_pyramid(g)[0][0, 0], image - high, atol=1e-5)


def test_the_pyramid_is_complete() -> None:
    """The bands and the remainder add up to the image: nothing escapes the statistics."""
    images = torch.rand(2, 3, 20, 20)
    *bands, rest = laplacian_pyramid(images)
    for band in reversed(bands):
        rest = band + expand(rest, *band.shape[2:])
    torch.testing.assert_close(rest, images)


def test_moments_and_shares_are_those_of_numpy() -> None:
    pixels = blobs(6, 0, channels=3)
    band = torch.from_numpy(pixels / 255 - 0.3).float()
    flat = band.double().numpy().reshape(6, 3, -1)
    mean, log_std, absolute, tails = moments_of(band).unbind(dim=1)
    assert np.allclose(mean, flat.mean(axis=2), atol=1e-6)
    assert np.allclose(log_std, np.log(flat.var(axis=2) + ROUNDING) / 2, atol=1e-5)
    assert np.allclose(absolute, np.abs(flat).mean(axis=2), atol=1e-6)
    rms = np.sqrt((flat**2).mean(axis=2))
    assert np.allclose(tails, np.abs(flat).mean(axis=2) / rms, atol=1e-4)
    edges = [0, 1, 32, 64, 96, 128, 160, 192, 224, 255, 256]
    expected = np.stack([np.histogram(image, edges)[0] / image.size for image in pixels])
    assert np.allclose(shares(torch.from_numpy(pixels)), np.delete(expected, 5, axis=1))


def test_gaussian_grain_has_the_tails_of_a_gaussian() -> None:
    band = torch.randn(1, 1, 300, 300)
    assert moments_of(band)[0, 3, 0] == pytest.approx(np.sqrt(2 / np.pi), abs=0.01)


def test_low_level_statistics_are_standardised() -> None:
    """Those that hardly vary are not scaled up, and constant ones stay finite."""
    training = blobs(200, 0)
    result = features("low-level", training, training)
    raw = statistics(torch.from_numpy(training)).numpy()
    varies = raw.std(axis=0) > SMALLEST_STD
    assert varies.sum() >= 10
    assert np.allclose(result.mean(axis=0), 0, atol=1e-4)
    assert np.allclose(result.std(axis=0)[varies], 1, atol=1e-4)
    assert (result.std(axis=0)[~varies] < 1).all()
    black = features("low-level", np.zeros_like(training), training)
    assert np.isfinite(black).all()


def grain(images: Pixels) -> Pixels:
    noise = 8 * np.random.default_rng(2).standard_normal(images.shape)
    return (images + noise).round().clip(0, 255).astype(np.uint8)


def veil(images: Pixels) -> Pixels:
    """Six of ten black pixels are not quite black."""
    random = np.random.default_rng(3)
    dark = (images == 0) & (random.random(images.shape) < 0.6)
    return np.where(dark, random.integers(1, 9, images.shape), images).astype(np.uint8)


def blur(images: Pixels) -> Pixels:
    return scipy.ndimage.gaussian_filter(images, (0, 0, 0.7, 0.7))


@pytest.mark.parametrize("corrupt", [grain, veil, blur])
@pytest.mark.parametrize("channels", [1, 3])
def test_low_level_statistics_see_grain_veils_and_blur(
    corrupt: Callable[[Pixels], Pixels], channels: int
) -> None:
    training, real = blobs(400, 0, channels), blobs(200, 1, channels)
    extract = fitted("low-level", training)
    reference, clean, spoiled = (
        features_of(extract, images, CPU)["features"] for images in (training, real, corrupt(real))
    )
    distances = frechet(clean, reference), frechet(spoiled, reference)
    assert distances[0] is not None
    assert distances[1] is not None
    assert distances[1] > 10 * distances[0]


@pytest.mark.parametrize("name", ["pixel-pca", "low-level"])
@pytest.mark.parametrize("channels", [1, 3])
def test_fitted_extractors_repeat_themselves_whatever_the_batch(name: str, channels: int) -> None:
    training = blobs(150, 0, channels)
    extract = fitted(name, training)
    whole = features_of(extract, training, CPU)["features"]
    assert np.array_equal(whole, features(name, training, training))
    assert whole.shape[1] <= extractor(name).dimensions(None)
    alone = extract(torch.from_numpy(training[7:8]))[0].numpy()
    np.testing.assert_allclose(alone, whole[7:8], atol=1e-4)  # a sum is taken in another order
    assert features_of(extract, training, CPU)["logits"].shape == (150, 0)


def test_at_most_so_many_images_are_taken_and_from_everywhere() -> None:
    images = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    assert evenly(images, 4).ravel().tolist() == [0, 3, 6, 9]
    assert np.array_equal(evenly(images, 20), images)


def test_features_of_a_fitted_extractor_belong_to_its_training_images(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    at = tiny_study()
    images = at.data("stripes").images("test")
    names = ("pixel-pca", "low-level", "inception-v3-compat")
    before = [features_origin(at, "stripes", name, images) for name in names]
    training = at.data("stripes").images("train")
    write_array(training, 255 - np.array(read_array(training)))
    after = [features_origin(at, "stripes", name, images) for name in names]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True]
