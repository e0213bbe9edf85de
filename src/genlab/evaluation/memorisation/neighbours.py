"""The nearest training images of any image, in features, and in pixels up to a small shift."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from genlab.data.randomness import generator
from genlab.evaluation.memorisation.ratios import distance_ratios
from genlab.evaluation.neighbours import blocks

Float = NDArray[np.float32]
Double = NDArray[np.float64]
Index = NDArray[np.int64]
Images = NDArray[np.uint8]

BLOCK = 500
"""Images whose distances to all training images are in memory at once."""
CANDIDATES = 32
"""Training images, nearest in coarse pixels, that a search in pixels compares at every shift."""
COARSE_SIDE = 10
"""Longest side of the coarse pixels."""
PIXELS_AT_ONCE = 1 << 22
"""Pixels of candidates that are in memory at once."""
PER_CELL = 100
"""Held-out images for each cell of the partition."""
MOST_CELLS = 10
MOST_CLUSTERED = 10_000
"""Training images that the cells are fitted to."""


class Neighbours(NamedTuple):
    """The two nearest training images of N images, nearest first."""

    distances: Double
    """[N, 2]"""
    indices: Index
    """Into the training images, [N, 2]."""

    @property
    def nearest(self) -> Double:
        """Distances d_1 to the nearest training image, [N]."""
        return self.distances[:, 0]

    @property
    def ratios(self) -> Double:
        """d_1 / d_2 in [0, 1], [N]; 0 for an exact copy, of a repeated training image as well."""
        return distance_ratios(self.distances)


class Space(ABC):
    """Training and held-out images in one space, with what all rows need of them.

    The arrays must not change while the space is in use.
    """

    def __init__(self, training: NDArray[Any], held_out: NDArray[Any]) -> None:
        self.training, self.held_out = training, held_out
        self._radii = np.full(len(training), np.nan)

    @abstractmethod
    def vectors(self, images: NDArray[Any]) -> Float:
        """The points [N, F] that cells are made of."""

    @abstractmethod
    def search(self, images: NDArray[Any], own: Index | None = None) -> Neighbours:
        """Find the nearest training images of N images.

        Args:
            own: for training images, the index of each, which is then left out; [N].
        """

    def neighbours(self, images: NDArray[Any]) -> Neighbours:
        """`search`, done once for the metrics of a row."""
        return _searched(self, Identity(images))

    @functools.cached_property
    def held_out_neighbours(self) -> Neighbours:
        """The nearest training images of the held-out images."""
        return self.search(self.held_out)

    def radii(self, indices: Index) -> Double:
        """Distances of the training images `indices` [N] to their nearest other training image."""
        new = np.unique(indices[np.isnan(self._radii[indices])])
        if len(new):
            self._radii[new] = self.search(self.training[new], own=new).nearest
        radii: Double = self._radii[indices]
        return radii

    @functools.cached_property
    def centres(self) -> Float:
        """Centres [K, F] of the cells: k-means of the training images."""
        from scipy.cluster.vq import kmeans2

        random = generator("memorisation", "cells")
        count = len(self.training)
        chosen = random.permutation(count)[:MOST_CLUSTERED]
        vectors = self.vectors(self.training[np.sort(chosen)])
        k = int(np.clip(len(self.held_out) // PER_CELL, 1, MOST_CELLS))
        if k == 1:
            mean: Float = vectors.mean(axis=0, keepdims=True)
            return mean
        centres: Float = kmeans2(vectors, k, iter=20, minit="++", seed=random)[0]
        return centres

    def cells(self, images: NDArray[Any]) -> Index:
        """The cell of each of N images: that of the nearest centre, [N]."""
        squares = np.square(self.centres).sum(axis=1)
        cells: Index = (squares - 2 * self.vectors(images) @ self.centres.T).argmin(axis=1)
        return cells

    @functools.cached_property
    def held_out_cells(self) -> Index:
        """The cells of the held-out images."""
        return self.cells(self.held_out)


class FeatureSpace(Space):
    """Euclidean distances of features [N, F]."""

    def vectors(self, images: Float) -> Float:
        return images

    def search(self, images: Float, own: Index | None = None) -> Neighbours:
        distances, indices = [], []
        for block in blocks(len(images), BLOCK):
            points = images[block]
            near = _two_nearest(self._squares(points), None if own is None else own[block])
            gaps = points[:, None].astype(np.float64) - self.training[near]  # [B, 2, F]
            distances.append(np.sqrt(np.square(gaps).sum(axis=2)))
            indices.append(near)
        return _sorted(np.concatenate(distances), np.concatenate(indices))

    def _squares(self, points: Float) -> Float:
        """|t - x|^2 - |x|^2 for points x [B, F] and training images t, [B, M]."""
        x: Float = (points - self._mean).astype(np.float32)
        result: Float = self._norms - 2 * x @ self._centred.T
        return result

    @functools.cached_property
    def _mean(self) -> Float:
        mean: Float = self.training.mean(axis=0)
        return mean

    @functools.cached_property
    def _centred(self) -> Float:
        """Smaller numbers lose fewer digits in the expansion of the square."""
        return (self.training - self._mean).astype(np.float32)

    @functools.cached_property
    def _norms(self) -> Float:
        norms: Float = np.square(self._centred).sum(axis=1)
        return norms


class PixelSpace(Space):
    """Distances of images uint8 [N, C, H, W], pixels on [0, 1], the smallest over nine shifts.

    d(x, t) = min over |a|, |b| <= 1 of || x shifted by (a, b) - t ||_2. It is computed for the
    CANDIDATES training images that are nearest to x in coarse pixels, which a shift hardly changes.
    """

    def vectors(self, images: Images) -> Float:
        return _flat_coarse(images)

    def search(self, images: Images, own: Index | None = None) -> Neighbours:
        size = int(np.prod(images.shape[1:]))
        rows = max(1, min(BLOCK, PIXELS_AT_ONCE // (CANDIDATES * size)))
        results = [
            self._search(images[block], None if own is None else own[block])
            for block in blocks(len(images), rows)
        ]
        distances, indices = zip(*results, strict=True)
        return _sorted(np.concatenate(distances), np.concatenate(indices))

    @functools.cached_property
    def _coarse(self) -> FeatureSpace:
        return FeatureSpace(_flat_coarse(self.training), _flat_coarse(self.held_out))

    def _search(self, images: Images, own: Index | None) -> tuple[Double, Index]:
        """The distances and indices [B, 2] of a block of images."""
        squares = self._coarse._squares(_flat_coarse(images))  # [B, M]
        if own is not None:
            squares[np.arange(len(own)), own] = np.inf
        k = min(CANDIDATES, squares.shape[1])
        near = np.argpartition(squares, k - 1, axis=1)[:, :k]  # [B, k]
        t = _flat(self.training[near.ravel()]).reshape(*near.shape, -1)  # [B, k, P]
        x = shifts(images)  # [B, P, 9]
        squares = (
            np.square(t).sum(axis=2)[..., None] + np.square(x).sum(axis=1)[:, None] - 2 * t @ x
        )
        rows = np.arange(len(images))[:, None]
        best = squares.min(axis=2).argpartition(1, axis=1)[:, :2]  # [B, 2], of the candidates
        shift = squares.argmin(axis=2)[rows, best]  # [B, 2]
        gaps = t[rows, best] - x.transpose(0, 2, 1)[rows, shift]  # [B, 2, P]
        distances = np.sqrt(np.square(gaps, dtype=np.float64).sum(axis=2))
        return distances, near[rows, best]


def coarse(images: Images, side: int = COARSE_SIDE) -> Float:
    """Images uint8 [N, C, H, W] -> means of square blocks of pixels on [0, 1], [N, C, H', W'].

    The blocks are the smallest for which H' and W' are at most `side`; the edge repeats.
    """
    n, c, h, w = images.shape
    f = -(-max(h, w) // side)
    margins = ((0, 0), (0, 0), (0, -h % f), (0, -w % f))
    pixels = np.pad(images, margins, mode="edge").astype(np.float32) / 255
    means: Float = pixels.reshape(n, c, -(-h // f), f, -(-w // f), f).mean(axis=(3, 5))
    return means


def _flat_coarse(images: Images) -> Float:
    """Coarse pixels as points [N, F]."""
    means = coarse(images)
    return means.reshape(len(images), int(np.prod(means.shape[1:])))


def shifts(images: Images) -> Float:
    """Images uint8 [N, C, H, W] -> pixels on [0, 1] of their nine shifts by up to a pixel.

    Returns:
        [N, C H W, 9]; the fifth is the image itself. Pixels of the edge repeat.
    """
    h, w = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    versions = [_flat(padded[:, :, a : a + h, b : b + w]) for a in range(3) for b in range(3)]
    return np.stack(versions, axis=2)


def _flat(images: Images) -> Float:
    """Pixels on [0, 1] of N images, [N, C H W]."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def _two_nearest(squares: Float, own: Index | None) -> Index:
    """Columns of the two smallest values of each row of `squares` [B, M], which is overwritten."""
    rows = np.arange(len(squares))
    if own is not None:
        squares[rows, own] = np.inf
    first = squares.argmin(axis=1)
    squares[rows, first] = np.inf
    return np.stack([first, squares.argmin(axis=1)], axis=1)


def _sorted(distances: Double, indices: Index) -> Neighbours:
    """Put the nearer of two neighbours first: rounding may have swapped them."""
    order = distances.argsort(axis=1, kind="stable")
    return Neighbours(
        np.take_along_axis(distances, order, axis=1), np.take_along_axis(indices, order, axis=1)
    )


class Identity:
    """An array as the key of a cache: equal to itself alone, and alive as long as the entry."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __hash__(self) -> int:
        return id(self.array)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and self.array is other.array


@functools.lru_cache(maxsize=16)
def _space(kind: type[Space], training: Identity, held_out: Identity) -> Space:
    return kind(training.array, held_out.array)


@functools.lru_cache(maxsize=16)
def _searched(space: Space, images: Identity) -> Neighbours:
    return space.search(images.array)


def feature_space(training: Float, held_out: Float) -> Space:
    """The space of these features; the same arrays give the same space."""
    return _space(FeatureSpace, Identity(training), Identity(held_out))


def pixel_space(training: Images, held_out: Images) -> Space:
    """The space of these images; the same arrays give the same space."""
    return _space(PixelSpace, Identity(training), Identity(held_out))
