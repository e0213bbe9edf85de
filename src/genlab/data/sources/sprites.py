"""Shapes drawn from known factors: shape, scale, rotation, x and y, in every combination.

Made after dSprites (Matthey et al. 2017): a white square, ellipse or heart on black, with three
differences that make each factor one that a model can be asked for.
    rotation  lies within a quarter turn, k/K * 90 degrees counter-clockwise. A square looks the
              same after 90 degrees (an ellipse after 180, a heart after 360), so that dSprites'
              full circle shows every square several times; here no two images are equal.
    scale     is all that the area depends on: at one scale the three shapes have the same area.
    x, y      are where the centre of mass is, whatever the rotation; the border cuts no shape off.

A shape is a set of points (u, v) of area 1 with its centre of mass at the origin and v upwards.
A pixel is as bright as the share of it that the shape covers, counted on a fine grid within it.
All places are points of this grid, so that a shape is drawn once and moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genlab.config.datasets import SPRITES, SpritesConfig
from genlab.data.arrays import Source, hold_out
from genlab.data.randomness import generator

Points = NDArray[np.float64]
FULL_SIZE = 0.3  # sqrt(area) at full scale, in sides of the image
SMALLEST = 0.5  # the smallest scale
NEAR, FAR = 0.25, 0.75  # where the outermost centres lie, in sides of the image
FINE = 8  # points along the side of a pixel; 64 of them tell the share that is covered


def square(u: Points, v: Points) -> NDArray[np.bool_]:
    """Of side 1."""
    return np.maximum(abs(u), abs(v)) <= 0.5


def ellipse(u: Points, v: Points) -> NDArray[np.bool_]:
    """Twice as long as high: semi-axes 2b and b with pi (2b) b = 1."""
    return u**2 / 4 + v**2 <= 1 / (2 * math.pi)


def heart(u: Points, v: Points) -> NDArray[np.bool_]:
    """A square of side a that stands on its tip, with half a disc on each of its upper sides.

    Its area is a^2 (1 + pi/4). Along the square's axes p (up right) and q (up left) the discs have
    their centres at (a/2, 0) and (0, a/2). The centre of mass of half a disc of radius a/2 lies
    2a/(3 pi) outside of its diameter, so that of the heart is as far from the square's as `shift`.
    """
    a = 1 / math.sqrt(1 + math.pi / 4)
    half_disc = math.pi * a**2 / 8
    shift = half_disc * (a / 2 + 2 * a / (3 * math.pi))  # along p, and the same along q
    p, q = (v + u) / math.sqrt(2) + shift, (v - u) / math.sqrt(2) + shift
    tip = np.maximum(abs(p), abs(q)) <= a / 2
    discs = np.minimum((p - a / 2) ** 2 + q**2, p**2 + (q - a / 2) ** 2) <= (a / 2) ** 2
    return tip | discs


SHAPES: dict[str, Callable[[Points, Points], NDArray[np.bool_]]] = {
    "square": square,
    "ellipse": ellipse,
    "heart": heart,
}


def mask(shape: str, scale: float, degrees: float, side: int) -> NDArray[np.bool_]:
    """The shape around the middle of a fine grid [2S, 2S], S = side * FINE, rows running down.

    Args:
        scale: of its width and height; 1 is full size.
        degrees: turned counter-clockwise.
        side: of the image that the shape is meant for, in pixels.
    """
    fine = side * FINE
    along = (np.arange(2 * fine) + 0.5 - fine) / (scale * FULL_SIZE * fine)
    right, up = along[None, :], -along[:, None]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return SHAPES[shape](cos * right + sin * up, cos * up - sin * right)


def draw(shape: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The shape of a `mask` with its centre at all pairs of `places`, uint8 [P * P, 1, H, W].

    A summed-area table (Crow 1984) tells how many points any rectangle covers, a pixel for one.

    Args:
        places: in points of the fine grid, [P], taken as x (from the left; the slower index) and
            as y (from the top).
    """
    fine = len(shape) // 2
    table = np.pad(shape, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    edges = fine - places[:, None] + np.arange(0, fine + 1, FINE)  # [P, side + 1], of the pixels
    corners = table[edges[None, :, :, None], edges[:, None, None, :]]  # [X, Y, side + 1, side + 1]
    covered = np.diff(np.diff(corners, axis=2), axis=3) / FINE**2
    images: NDArray[np.uint8] = (255 * covered).round().astype(np.uint8)
    return images.reshape(-1, 1, *images.shape[2:])


def places(config: SpritesConfig) -> NDArray[np.int64]:
    """The values of the factors x and y in points of the fine grid, evenly spaced."""
    near, far = (round(share * config.size * FINE) for share in (NEAR, FAR))
    return near + (far - near) // (config.positions - 1) * np.arange(config.positions)


def fetch(config: SpritesConfig, raw: Path) -> list[Path]:
    """Nothing: the images are drawn when they are read."""
    return []


def read(config: SpritesConfig, files: list[Path]) -> Source:
    """All combinations of the factors in random order, a fair share of every shape held out.

    The order is the same in every call; the label of an image is its shape.
    """
    scales = np.linspace(SMALLEST, 1, config.scales)
    rotations = np.arange(config.rotations) * 90 / config.rotations
    images = np.concatenate(
        [
            draw(mask(shape, scale, degrees, config.size), places(config))
            for shape, scale, degrees in product(SPRITES, scales, rotations)
        ]
    )
    sizes = tuple(config.factors.values())
    factors = np.stack(np.unravel_index(np.arange(len(images)), sizes), axis=1)  # [N, 5]
    order = generator("sprites").permutation(len(images))
    images, factors = images[order], factors[order]
    train, test = hold_out(images, factors[:, 0], config.every, factors)
    return Source(train, test, list(SPRITES))
