"""The sprites: that every factor is in the pixels as it is said to be, and no two images agree."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from genlab.config.base import build
from genlab.config.sources.sprites import SPRITES, SpritesConfig
from genlab.data.sources.sprites import FINE, FULL_SIZE, SHAPES, draw, mask, places, read
from genlab.errors import ConfigError
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.results.layout import DataFolder, StudyFolder
from genlab.workflow.fetch import fetch
from genlab.workflow.prepare import prepare

SHAPE, SCALE, ROTATION, X, Y = range(5)
Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def sprites() -> tuple[Array, NDArray[np.int64]]:
    """The images of the preset as shares of coverage [N, 32, 32], and their factors [N, 5]."""
    source = read(SpritesConfig(), [])
    images = np.concatenate([source.train.images, source.test.images])[:, 0] / 255
    assert source.train.factors is not None
    assert source.test.factors is not None
    return images, np.concatenate([source.train.factors, source.test.factors])


def moments(images: Array) -> tuple[Array, Array, Array]:
    """Area [N], centre of mass (x, y) [N, 2] and covariance [N, 2, 2] in pixels; y points down."""
    centres = np.arange(images.shape[1]) + 0.5
    area = images.sum(axis=(1, 2))
    x, y = images.sum(axis=1) @ centres / area, images.sum(axis=2) @ centres / area
    dx, dy = centres - x[:, None], centres - y[:, None]
    xx = (images.sum(axis=1) * dx**2).sum(axis=1) / area
    yy = (images.sum(axis=2) * dy**2).sum(axis=1) / area
    xy = np.einsum("nyx,ny,nx->n", images, dy, dx) / area
    covariance = np.stack([np.stack([xx, xy], axis=1), np.stack([xy, yy], axis=1)], axis=2)
    return area, np.stack([x, y], axis=1), covariance


@pytest.mark.parametrize("shape", SPRITES)
def test_a_shape_has_area_one_and_its_centre_of_mass_at_the_origin(shape: str) -> None:
    """On a grid of 2000^2 points over [-1, 1]^2, which holds every shape."""
    along = (np.arange(2000) - 999.5) / 1000
    u, v = np.meshgrid(along, along)
    inside = SHAPES[shape](u, v)
    assert not inside[[0, -1]].any()
    assert not inside[:, [0, -1]].any()
    # A point is worth 1e-6, and about 4000 of them lie at the edge, on either side of it.
    assert inside.sum() * 1e-6 == pytest.approx(1, abs=1e-3)
    assert u[inside].mean() == pytest.approx(0, abs=1e-3)
    assert v[inside].mean() == pytest.approx(0, abs=1e-3)


def test_a_heart_is_a_heart() -> None:
    """The same on both sides, narrower below, with a notch in its top, and as wide as two discs."""
    along = (np.arange(2000) - 999.5) / 1000
    u, v = np.meshgrid(along, along)
    heart = SHAPES["heart"](u, v)
    assert (heart == heart[:, ::-1]).all()
    assert heart[v < 0].sum() < heart[v > 0].sum()
    top = np.where(heart, v, -1).max(axis=0)
    assert top[999] < top.max() - 0.1
    # The discs' centres lie a / sqrt(8) to each side, and a disc reaches a / 2 further.
    a = 1 / math.sqrt(1 + math.pi / 4)
    assert u[heart].max() == pytest.approx(a / math.sqrt(8) + a / 2, abs=1e-3)  # a point's size


def test_a_pixel_is_the_share_of_its_points_that_are_covered() -> None:
    """The summed-area table against counting, at places that are no multiple of a pixel."""
    config = SpritesConfig(size=24, positions=4)
    shape = mask("heart", 0.8, 30, config.size)
    drawn = draw(shape, places(config)).reshape(4, 4, 24, 24)
    fine = 24 * FINE
    for i, x in enumerate(places(config)):
        for j, y in enumerate(places(config)):
            moved = np.roll(shape, (y - fine, x - fine), axis=(0, 1))[:fine, :fine]
            share = moved.reshape(24, FINE, 24, FINE).mean(axis=(1, 3))
            assert (drawn[i, j] == (255 * share).round()).all()


def test_every_combination_is_there_once_and_no_two_images_agree(
    sprites: tuple[Array, NDArray[np.int64]],
) -> None:
    images, factors = sprites
    assert len(images) == 3 * 4 * 8 * 8 * 8
    assert len(np.unique(factors, axis=0)) == len(images)
    assert (factors.min(axis=0) == 0).all()
    assert (factors.max(axis=0) + 1).tolist() == list(SpritesConfig().factors.values())
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_largest_set_of_the_smallest_images_has_no_two_that_agree() -> None:
    config = SpritesConfig(size=24, scales=8, rotations=16, positions=16, every=2)
    source = read(config, [])
    images = np.concatenate([source.train.images, source.test.images])
    assert len(images) == 3 * 8 * 16 * 16 * 16
    assert len({image.tobytes() for image in images}) == len(images)


def test_the_area_is_that_of_the_scale_whatever_the_shape(
    sprites: tuple[Array, NDArray[np.int64]],
) -> None:
    images, factors = sprites
    area, _, _ = moments(images)
    expected = ((0.5 + factors[:, SCALE] / 6) * FULL_SIZE * 32) ** 2
    # A square's edge that runs along the fine grid is rounded to it: at most 1/8 pixel of the
    # shortest side, 4.8 pixels, in both directions.
    np.testing.assert_allclose(area, expected, rtol=2 * (1 / FINE) / 4.8)
    by_scale = [area[factors[:, SCALE] == k] for k in range(4)]
    assert all(a.max() < b.min() for a, b in pairwise(by_scale))


def test_the_centre_of_mass_moves_evenly_with_x_and_y(
    sprites: tuple[Array, NDArray[np.int64]],
) -> None:
    """From 8 pixels in steps of 2.25; whatever the shape, its scale and its rotation."""
    images, factors = sprites
    _, centre, _ = moments(images)
    # The mask is symmetrical about its centre but for the edge of the heart on the fine grid, of
    # 1/8 pixel, and shares are rounded to 1/255 in some 50 pixels of the edge.
    np.testing.assert_allclose(centre, 8 + 2.25 * factors[:, [X, Y]], atol=0.03)


def test_an_ellipse_lies_as_its_rotation_says(sprites: tuple[Array, NDArray[np.int64]]) -> None:
    """Its long axis, by second moments, is turned by k / 8 of a quarter turn counter-clockwise."""
    images, factors = sprites
    ellipses = factors[:, SHAPE] == SPRITES.index("ellipse")
    _, _, covariance = moments(images[ellipses])
    xx, yy, xy = covariance[:, 0, 0], covariance[:, 1, 1], covariance[:, 0, 1]
    angle = np.degrees(0.5 * np.arctan2(-2 * xy, xx - yy)) % 180  # y points down in the image
    expected = factors[ellipses, ROTATION] * 90 / 8
    off = (angle - expected + 90) % 180 - 90
    assert np.abs(off).max() < 1  # a tenth of a step; the smallest is 7 pixels long and 4 wide
    # Semi-axes a = 2b have variances a^2 / 4 and b^2 / 4; a pixel's own width adds 1/12 to both.
    variances = np.linalg.eigvalsh(covariance) - 1 / 12
    np.testing.assert_allclose(variances[:, 1] / variances[:, 0], 4, rtol=0.1)


@given(
    shape=st.sampled_from(SPRITES),
    scale=st.floats(0.5, 1),
    degrees=st.floats(0, 360),
    side=st.integers(24, 40),
)
@settings(max_examples=25)
def test_no_shape_is_cut_off(shape: str, scale: float, degrees: float, side: int) -> None:
    """Whatever the place, as many points are covered as in the middle."""
    config = SpritesConfig(size=side, positions=3)
    form = mask(shape, scale, degrees, side)
    areas = draw(form, places(config)).reshape(9, -1).sum(axis=1) / 255
    # Rounding moves each of the pixels at the edge, at most 4 * 0.6 sides of them, by 1/510.
    np.testing.assert_allclose(areas, form.sum() / FINE**2, atol=2.4 * side / 510)


def prepared(folder: Path, **config: object) -> DataFolder:
    at = DataFolder(folder)
    at.folder.mkdir(exist_ok=True)
    at.config.write_text(yaml.safe_dump({"source": "sprites", **config}))
    fetch(at)
    prepare(at)
    return at


def test_factors_are_written_with_their_names_and_the_same_bytes_every_time(tmp_path: Path) -> None:
    sizes = {"scales": 2, "rotations": 3, "positions": 4, "every": 4}
    first, second = (prepared(tmp_path / name, **sizes) for name in "ab")
    manifest = read_json(first.manifest)
    assert manifest["factors"] == {"shape": 3, "scale": 2, "rotation": 3, "x": 4, "y": 4}
    assert list(manifest["factors"]) == ["shape", "scale", "rotation", "x", "y"]
    assert manifest["values"]["shape"] == list(SPRITES)
    assert manifest["values"]["rotation"] == ["0", "1", "2"]
    assert manifest["classes"] == list(SPRITES)
    assert manifest["test"]["per_class"] == [24, 24, 24]  # a quarter of 2 * 3 * 4 * 4
    assert build(SpritesConfig, sizes, "here").held_out == manifest["test"]["images"]
    for split in ("train", "test"):
        factors = read_array(first.factors(split))
        assert factors.dtype == np.int64
        assert (factors[:, SHAPE] == read_array(first.labels(split))).all()
        written = first.factors(split).read_bytes()
        assert manifest[split]["factors_sha256"] == hashlib.sha256(written).hexdigest()
        assert written == second.factors(split).read_bytes()
        assert first.images(split).read_bytes() == second.images(split).read_bytes()
    assert first.manifest.read_bytes() == second.manifest.read_bytes()


def test_data_without_known_factors_has_no_word_of_them(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    at = tiny_study().data("stripes")
    manifest = read_json(at.manifest)
    assert set(manifest) == {"made_from", "shape", "classes", "train", "test", "sha256", "text"}
    assert set(manifest["train"]) == {"images", "images_sha256", "labels_sha256", "per_class"}
    assert read_array(at.factors("train")).shape == (len(read_array(at.images("train"))), 0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"size": 8}, "sprites.yaml: size: "),
        ({"rotations": 1}, "sprites.yaml: rotations: "),
        ({"positions": 100}, "sprites.yaml: positions: "),
        ({"every": 1}, "sprites.yaml: every: "),
        ({"rotation": 4}, "unknown key 'rotation': did you mean 'rotations'"),
    ],
)
def test_a_set_that_can_not_be_drawn_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        build(SpritesConfig, {"source": "sprites", **values}, "sprites.yaml")
