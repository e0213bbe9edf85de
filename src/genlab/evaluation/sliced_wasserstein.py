"""Sliced Wasserstein distance of patches over a Laplacian pyramid (Karras et al. 2018).

arXiv:1710.10196, section 5. Each image becomes a pyramid (Burt & Adelson 1983): level l holds what
halving the image once more would lose, the last level what is left. On each level, random patches
of 7 x 7 pixels are drawn from every image and normalised by the mean and the standard deviation of
each channel over the set. The distance of two sets of patches is the mean over random directions
of the Wasserstein-1 distance of their projections (Rabin et al. 2011).

Differences from the paper: levels go down to SMALLEST pixels instead of 16, so that images of
28 x 28 have two. Sets of many images have fewer patches per image (MOST_PATCHES). There are half as
many directions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from genlab.data.randomness import generator
from genlab.evaluation.array_cache import cached_per_array

Floats = NDArray[np.float32]
Images = NDArray[np.uint8]
SIDE = 7  # of a patch
SMALLEST = 2 * SIDE  # side of the smallest level
PATCHES = 128  # of each image and level
MOST_PATCHES = 2**16
"""Of all images on a level: more images have fewer patches each, which costs less accuracy than
fewer images, since patches of one image are alike."""
DIRECTIONS = 256
"""On digits, 512 give the same distances to 2 % in twice the time."""
KERNEL = np.array([1, 4, 6, 4, 1], np.float32) / 16  # Burt & Adelson's, along each axis


def smooth(images: Floats) -> Floats:
    """Convolve images [N, C, H, W] with KERNEL along both axes, mirrored at the borders."""
    from scipy.ndimage import correlate1d

    for axis in (2, 3):
        images = correlate1d(images, KERNEL, axis=axis, mode="mirror")
    return images


def laplacian_pyramid(images: Images) -> list[Floats]:
    """The levels of images [N, C, H, W], the finest first."""
    levels, gaussian = [], images.astype(np.float32)
    while min(gaussian.shape[2:]) // 2 >= SMALLEST:
        halved = smooth(gaussian)[:, :, ::2, ::2]
        enlarged = np.zeros_like(gaussian)
        enlarged[:, :, ::2, ::2] = 4 * halved
        levels.append(gaussian - smooth(enlarged))
        gaussian = halved
    return [*levels, gaussian]


def random_patches(level: Floats, count: int, random: np.random.Generator) -> Floats:
    """Draw `count` patches at different places of each image [N, C, H, W]; normalise them.

    Where an image has fewer places, it gives one patch for each.

    Returns:
        Vectors [N count, C SIDE SIDE].
    """
    windows = np.lib.stride_tricks.sliding_window_view(level, (SIDE, SIDE), axis=(2, 3))
    n, _, rows, columns = windows.shape[:4]
    places = random.random((n, rows * columns)).argsort(axis=1)[:, :count]  # [N, count]
    y, x = np.divmod(places, columns)
    patches = windows[np.arange(n)[:, None], :, y, x]  # [N, count, C, SIDE, SIDE]
    patches = patches - patches.mean(axis=(0, 1, 3, 4), keepdims=True)
    patches /= np.maximum(patches.std(axis=(0, 1, 3, 4), keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(patches.reshape(-1, np.prod(patches.shape[2:])))


def directions(dimensions: int) -> Floats:
    """Unit vectors that are uniform on the sphere, [DIRECTIONS, dimensions]."""
    vectors = generator("sliced Wasserstein", "directions").standard_normal(
        (DIRECTIONS, dimensions)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def sorted_projections(images: Images, count: int, role: str) -> Iterator[Floats]:
    """Sort the projections of the patches of `count` images, [DIRECTIONS, patches], by level.

    Args:
        images: [M, C, H, W], of which `count` random ones are used.
        role: address of the random numbers.
    """
    random = generator("sliced Wasserstein", role)
    if len(images) > count:
        images = images[np.sort(random.choice(len(images), count, replace=False))]
    for level in laplacian_pyramid(images):
        vectors = random_patches(level, min(PATCHES, MOST_PATCHES // count), random)
        projections = directions(vectors.shape[1]) @ vectors.T
        projections.sort(axis=1)
        yield projections


@cached_per_array
def real_projections(images: Images, count: int) -> list[Floats]:
    """Those of real images, which all rows are compared with."""
    return list(sorted_projections(images, count, "real"))


def sliced_wasserstein(generated: Images, real: Images) -> list[float] | None:
    """Distance of images [N, C, H, W] and [M, C, H, W] on each level, the finest first.

    The larger set is represented by as many random images as the smaller one has. None where images
    are smaller than a patch.
    """
    if min(generated.shape[2:]) < SIDE:
        return None
    count = min(len(generated), len(real), MOST_PATCHES)
    distances = []
    for ours, theirs in zip(
        sorted_projections(generated, count, "generated"),
        real_projections(real, count),
        strict=True,
    ):
        difference = np.subtract(ours, theirs, out=ours)
        distances.append(float(np.abs(difference, out=difference).mean()))
    return distances
