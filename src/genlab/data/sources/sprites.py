"""Shapes in every combination of five known factors: shape, scale, rotation, x and y.

The images follow dSprites (Matthey et al. 2017), a white square, ellipse or heart on black, with
three differences that make every factor identifiable.
    rotation  is k/K * 90 degrees counter-clockwise. A square has period 90 degrees (an ellipse 180,
              a heart 360), so dSprites' full circle repeats every square; here all images differ.
    scale     alone determines the area: at equal scale the three shapes have equal area.
    x, y      are the centre of mass, independent of the rotation; the border clips no shape.

A shape is a set of points (u, v) of area 1 with its centre of mass at the origin and v upwards.
The brightness of a pixel is the share of it that the shape covers, counted on a fine grid. All
positions are points of this grid, so a shape is rasterised once and moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genlab.config.sources.sprites import SPRITES, SpritesConfig
from genlab.data.arrays import Source, hold_out
from genlab.data.randomness import generator

Points = NDArray[np.float64]
FULL_SIZE = 0.3  # sqrt(area) at scale 1, in units of the image side
SMALLEST = 0.5  # the smallest scale
NEAR, FAR = 0.25, 0.75  # the outermost centres, in units of the image side
FINE = 8  # grid points along the side of a pixel


def square(u: Points, v: Points) -> NDArray[np.bool_]:
    """Test which points lie in the square of side 1."""
    return np.maximum(abs(u), abs(v)) <= 0.5


def ellipse(u: Points, v: Points) -> NDArray[np.bool_]:
    """Test which points lie in the ellipse with semi-axes 2b and b, where pi (2b) b = 1."""
    return u**2 / 4 + v**2 <= 1 / (2 * math.pi)


def heart(u: Points, v: Points) -> NDArray[np.bool_]:
    """Test which points lie in the heart: a square on its tip, a half disc on each upper side.

    With side a its area is a^2 (1 + pi/4). Along the square's axes p (up right) and q (up left) the
    discs have their centres at (a/2, 0) and (0, a/2). The centre of mass of a half disc of radius
    a/2 lies 2a/(3 pi) outside its diameter, which moves that of the heart by `shift`.
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
    """Rasterise a shape in the middle of a fine grid [2S, 2S], S = side * FINE, top row first.

    Args:
        scale: factor of width and height; 1 is full size.
        degrees: angle of rotation, counter-clockwise.
        side: side of the image in pixels.
    """
    fine = side * FINE
    along = (np.arange(2 * fine) + 0.5 - fine) / (scale * FULL_SIZE * fine)
    right, up = along[None, :], -along[:, None]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return SHAPES[shape](cos * right + sin * up, cos * up - sin * right)


def draw(shape: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Draw the shape of a `mask` at all pairs of positions, uint8 [P * P, 1, H, W].

    A summed-area table (Crow 1984) gives the number of covered grid points in every pixel.

    Args:
        places: positions of the centre in points of the fine grid, [P], used as x from the left
            (the slower index) and as y from the top.
    """
    fine = len(shape) // 2
    table = np.pad(shape, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    edges = fine - places[:, None] + np.arange(0, fine + 1, FINE)  # [P, side + 1]
    corners = table[edges[None, :, :, None], edges[:, None, None, :]]  # [X, Y, side + 1, side + 1]
    covered = np.diff(np.diff(corners, axis=2), axis=3) / FINE**2
    images: NDArray[np.uint8] = (255 * covered).round().astype(np.uint8)
    return images.reshape(-1, 1, *images.shape[2:])


def places(config: SpritesConfig) -> NDArray[np.int64]:
    """Return the values of the factors x and y in points of the fine grid, evenly spaced."""
    near, far = (round(share * config.size * FINE) for share in (NEAR, FAR))
    return near + (far - near) // (config.positions - 1) * np.arange(config.positions)


def fetch(config: SpritesConfig, raw: Path) -> list[Path]:
    """Return no files; the images are drawn when they are read."""
    return []


def read(config: SpritesConfig, files: list[Path]) -> Source:
    """Draw all combinations of the factors; an equal share of every shape is held out.

    The images are in a fixed random order. The label of an image is its shape.
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
