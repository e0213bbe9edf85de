"""The sliced Wasserstein distance of patches, part by part and as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.stats import wasserstein_distance

from genlab.evaluation import sliced_wasserstein as swd
from genlab.evaluation.sliced_wasserstein import (
    directions,
    laplacian_pyramid,
    random_patches,
    smooth,
    sorted_projections,
)

Images = NDArray[np.uint8]


def clouds(seed: int, n: int, side: int = 28, channels: int = 1) -> Images:
    """Smooth random images."""
    noise = np.random.default_rng(seed).standard_normal((n, channels, side, side))
    blurred = gaussian_filter(noise, (0, 0, 1.5, 1.5), mode="wrap")
    return (128 + 200 * blurred).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("side", "levels"), [(28, 2), (32, 2), (45, 2), (64, 3), (16, 1), (8, 1)])
def test_a_pyramid_adds_up_to_the_images(side: int, levels: int) -> None:
    """Each level plus the enlarged rest: the coarsest first."""
    images = clouds(0, 3, side, channels=2)
    pyramid = laplacian_pyramid(images)
    assert len(pyramid) == levels
    result = pyramid[-1]
    for level in reversed(pyramid[:-1]):
        enlarged = np.zeros_like(level)
        enlarged[:, :, ::2, ::2] = 4 * result
        result = level + smooth(enlarged)
    assert np.allclose(result, images, atol=1e-3)  # float32 at 255


def test_smoothing_keeps_a_constant_and_has_the_kernel_as_its_response() -> None:
    image = np.zeros((1, 1, 9, 9), np.float32)
    image[0, 0, 4, 4] = 1
    row = np.array([1, 4, 6, 4, 1]) / 16
    assert np.allclose(smooth(image)[0, 0, 2:7, 2:7], np.outer(row, row))
    assert np.allclose(smooth(np.ones((1, 1, 5, 5), np.float32)), 1)


def test_patches_are_those_of_the_images_normalised_over_the_set() -> None:
    """All 4 x 4 places of images of 10 x 10 pixels, each once."""
    level = np.random.default_rng(0).standard_normal((3, 2, 10, 10)).astype(np.float32)
    patches = random_patches(level, 99, np.random.default_rng(1))
    every = np.array(
        [image[:, y : y + 7, x : x + 7] for image in level for y in range(4) for x in range(4)]
    )  # [48, 2, 7, 7]
    every = (every - every.mean((0, 2, 3), keepdims=True)) / every.std((0, 2, 3), keepdims=True)
    assert patches.shape == (48, 98)
    order, expected = np.lexsort(patches.T), every.reshape(48, 98)
    assert np.allclose(patches[order], expected[np.lexsort(expected.T)], atol=1e-5)


def test_the_distance_is_the_mean_of_those_along_the_directions() -> None:
    """scipy's Wasserstein-1 distance of the projections of the same patches."""
    a, b = clouds(0, 6), clouds(1, 6) // 2
    result = swd.sliced_wasserstein(a, b)
    assert result is not None
    sides = sorted_projections(a, 6, "generated"), sorted_projections(b, 6, "real")
    for distance, ours, theirs in zip(result, *sides, strict=True):
        expected = [wasserstein_distance(p, q) for p, q in zip(ours, theirs, strict=True)]
        assert distance == pytest.approx(np.mean(expected), rel=1e-4)
    assert np.allclose(np.linalg.norm(directions(49), axis=1), 1, atol=1e-6)


def test_noise_is_seen_on_the_fine_level_and_layout_on_the_coarse_one() -> None:
    real, others = clouds(0, 100), clouds(1, 100)
    noise = np.random.default_rng(2).normal(0, 40, others.shape)
    noisy = (others + noise).clip(0, 255).astype(np.uint8)
    tall = gaussian_filter(others, (0, 0, 6, 0), mode="wrap")  # vertical stripes
    fine, coarse = swd.sliced_wasserstein(others, real) or []
    fine_of_noisy, coarse_of_noisy = swd.sliced_wasserstein(noisy, real) or []
    assert fine_of_noisy > 5 * fine
    assert fine_of_noisy / fine > 2 * coarse_of_noisy / coarse
    assert (swd.sliced_wasserstein(tall, real) or [])[1] > 3 * coarse


def test_unequal_sets_and_repetitions() -> None:
    """The larger set is represented by a part; a repetition gives the same number."""
    real, generated = clouds(0, 60), clouds(1, 40)
    first = swd.sliced_wasserstein(generated, real)
    assert first is not None
    assert swd.sliced_wasserstein(generated.copy(), real.copy()) == first
    assert swd.sliced_wasserstein(clouds(1, 40, side=6), clouds(0, 60, side=6)) is None
