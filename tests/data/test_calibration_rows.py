"""The rows that calibrate the table: real images, and images with a known flaw."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from tiny import TEST, TRAIN, stripes

from genlab.api import load_data
from genlab.config.base import read_yaml
from genlab.config.calibration import KINDS as FACTS
from genlab.config.calibration import calibration_rows, dropped_classes, split_row
from genlab.data.arrays import fair_share, hold_out
from genlab.data.calibration import KINDS, RealImages, calibration_images
from genlab.data.pictures import tile
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.results.layout import StudyFolder
from genlab.workflow.calibration import calibrate


def test_real_images_are_held_out_ones_each_at_most_once(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    at = tiny_study()
    row = at.calibration_row("stripes", "real")
    calibrate(row)
    samples = [image.tobytes() for image in read_array(row.samples)]
    held_out = [image.tobytes() for image in read_array(at.data("stripes").images("test"))]
    assert len(samples) == len(set(samples)) == 32
    assert set(samples) <= set(held_out)
    assert samples != held_out[:32]  # which may be sorted by class


def test_noise_is_uniform(tiny_study: Callable[..., StudyFolder]) -> None:
    row = tiny_study().calibration_row("stripes", "noise")
    calibrate(row)
    pixels = read_array(row.samples)
    assert pixels.shape == (32, 1, 8, 8)
    # The mean of n values of variance (256^2 - 1) / 12 is within 4 standard errors of 127.5.
    error = (65535 / 12 / pixels.size) ** 0.5
    assert abs(pixels.mean() - 127.5) < 4 * error
    assert np.bincount(pixels.ravel() // 64, minlength=4).min() > 0.2 * pixels.size


def test_a_row_comes_out_the_same_each_time(tiny_study: Callable[..., StudyFolder]) -> None:
    row = tiny_study().calibration_row("stripes", "noise")
    calibrate(row)
    before = row.samples.read_bytes(), row.grid.read_bytes()
    calibrate(row)
    assert (row.samples.read_bytes(), row.grid.read_bytes()) == before


def test_more_real_images_than_are_held_out_are_refused(
    tiny_study: Callable[..., StudyFolder], genlab: Any
) -> None:
    """Own pictures are counted only when they are prepared, so the stage has to say it."""
    row = tiny_study().calibration_row("stripes", "real")
    row.config.write_text(yaml.safe_dump(read_yaml(row.config) | {"samples": TEST + 1}))
    ended = genlab("calibrate", "--config", row.config)
    assert ended.status == 1
    assert ended.err == (
        f"error: {row.config}: evaluation.samples asks for {TEST + 1} images, but 'stripes' holds "
        f"out only {TEST}; ask for fewer, or remove 'real' from evaluation.calibration\n"
    )
    with pytest.raises(GenLabError):
        calibrate(row)
    assert not row.samples.exists()


@pytest.fixture(scope="module")
def digits() -> RealImages:
    """Rows of 500 of the 1,000 held-out digits."""
    data = load_data("digits")
    return RealImages(
        data.held_out,
        data.held_out_labels,
        data.images,
        data.labels,
        classes=10,
        samples=500,
        seed=0,
    )


def row_of(name: str, data: RealImages) -> NDArray[np.uint8]:
    """The images of a row, uint8 [N, C, H, W]."""
    return np.stack([*calibration_images(name, data)])


def tiny_images(samples: int = 40, channels: int = 1, classes: int = 2) -> RealImages:
    """The tiny stripes, grey or in `channels` equal channels."""
    (training, training_labels), (held_out, labels) = stripes(TRAIN, 0), stripes(TEST, 1)
    training, held_out = (
        np.repeat(images[:, None], channels, axis=1) for images in (training, held_out)
    )
    return RealImages(held_out, labels, training, training_labels, classes, samples, seed=0)


def plain_images(images: NDArray[np.uint8]) -> RealImages:
    """One class, the same images held out and to train on, all of them in a row."""
    labels = np.zeros(len(images), np.int64)
    return RealImages(images, labels, images, labels, 1, len(images), seed=0)


ROWS = [row for row in calibration_rows() if not row.startswith("dropped-class")]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("row", [*ROWS, "dropped-class-1"])
def test_a_row_has_its_size_and_depends_on_the_seed_alone(row: str, channels: int) -> None:
    images = row_of(row, tiny_images(channels=channels))
    assert images.shape == (40, channels, 8, 8) and images.dtype == np.uint8
    assert np.array_equal(images, row_of(row, tiny_images(channels=channels)))


def test_described_kinds_are_the_kinds_that_are_drawn() -> None:
    assert list(FACTS) == list(KINDS)
    for kind, facts in FACTS.items():
        assert facts.strengths == len(KINDS[kind].strengths)
        assert all(split_row(row)[0] == kind for row in facts.rows(kind))
    assert split_row("blur-2") == ("blur", 2) and split_row("k-means") == ("k-means", 0)
    with pytest.raises(KeyError):
        split_row("blur")


def frechet(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The Frechet distance of Gaussians fitted to x [N, F] and y [M, F]."""
    a, b = np.cov(x.T), np.cov(y.T)
    roots = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b) - 2 * roots.sum())


def test_each_strength_is_farther_from_real_images_than_the_one_before(digits: RealImages) -> None:
    """In the first 32 principal components of the training digits' pixels."""
    training = digits.training.reshape(len(digits.training), -1) / 255
    center = training.mean(axis=0)
    axes = np.linalg.eigh(np.cov(training.T))[1][:, -32:]  # [784, 32]

    def distance(row: str) -> float:
        pixels = row_of(row, digits).reshape(digits.samples, -1) / 255
        return frechet((pixels - center) @ axes, (training - center) @ axes)

    real = distance("real")
    for kind, facts in FACTS.items():
        if facts.strengths:
            distances = [real, *map(distance, facts.rows(kind))]
            assert all(weak < strong for weak, strong in pairwise(distances)), (kind, distances)
    assert distance("memoriser") < real < distance("k-means") < distance("mean")


def test_rows_of_held_out_images_change_those_of_real_one_by_one() -> None:
    """Each flaw by its definition, on the image at the same place."""
    data = tiny_images()
    real = row_of("real", data)
    assert np.array_equal(real, data.held_out[fair_share(TEST)[:40]])
    for k, opacity in enumerate(KINDS["veil"].strengths, start=1):
        expected = ((1 - opacity) * real + opacity * 128).round()
        assert np.abs(row_of(f"veil-{k}", data) - expected).max() <= 1  # float32 rounding
    file = BytesIO()
    Image.fromarray(real[3, 0]).save(file, "JPEG", quality=KINDS["jpeg"].strengths[0])
    assert np.array_equal(row_of("jpeg-1", data)[3, 0], np.asarray(Image.open(file)))


def test_blur_convolves_with_a_gaussian() -> None:
    """A white pixel becomes exp(-d^2 / 2 sigma^2), normalised; a plain image stays."""
    point = np.zeros((1, 1, 21, 21), np.uint8)
    point[..., 10, 10] = 255
    data = plain_images(point)
    offsets = np.arange(-10, 11)
    for k, sigma in enumerate(KINDS["blur"].strengths, start=1):
        profile = np.exp(-(offsets**2) / (2 * sigma**2))
        expected = 255 * np.outer(profile, profile) / profile.sum() ** 2
        assert np.abs(row_of(f"blur-{k}", data)[0, 0] - expected).max() < 1
    plain = plain_images(np.full((1, 1, 9, 9), 77, np.uint8))
    assert np.array_equal(row_of("blur-3", plain), plain.held_out)


def test_grain_of_all_strengths_is_one_pattern() -> None:
    """On middle grey, where nothing is clipped at the weakest strength."""
    grey = np.full((64, 1, 16, 16), 128, np.uint8)
    data = plain_images(grey)
    weak, strong = (row_of(f"grain-{k}", data).astype(float) - 128 for k in (1, 2))
    sigmas = KINDS["grain"].strengths
    # The standard deviation of n normal numbers is within 4 sigma / sqrt(2 n) of sigma.
    assert abs(weak.std() - sigmas[0]) < 4 * sigmas[0] / (2 * weak.size) ** 0.5
    inside = np.abs(strong) < 120
    assert np.allclose(strong[inside] * sigmas[0] / sigmas[1], weak[inside], atol=1)


def test_dropped_classes_are_replaced_by_others(digits: RealImages) -> None:
    """The other images stay; strengths leave out one class, two, and half of them."""
    real = row_of("real", digits)
    labels = digits.held_out_labels[digits.order[: digits.samples]]
    of_image = {
        image.tobytes(): label
        for image, label in zip(digits.held_out, digits.held_out_labels, strict=True)
    }
    for k, dropped in enumerate((1, 2, 5), start=1):
        images = row_of(f"dropped-class-{k}", digits)
        kept = labels >= dropped
        assert np.array_equal(images[kept], real[kept])
        classes = {int(of_image[image.tobytes()]) for image in images}
        assert classes == set(range(dropped, 10))
    again = {image.tobytes() for image in row_of("dropped-class-1", digits)}
    assert len(again) == digits.samples  # there are enough others


def test_dropped_classes_repeat_images_where_there_are_too_few() -> None:
    data = tiny_images(samples=TEST)
    images = row_of("dropped-class-1", data)
    assert len({image.tobytes() for image in images}) == (data.held_out_labels == 1).sum()


@pytest.mark.parametrize(
    ("classes", "numbers"), [(3, [1, 2, 3]), (4, [1, 2, 3]), (10, [1, 2, 5]), (100, [1, 2, 50])]
)
def test_each_strength_drops_more_classes(classes: int, numbers: list[int]) -> None:
    assert [dropped_classes(k, classes) for k in (1, 2, 3)] == numbers


def test_means_of_clusters_of_training_images() -> None:
    """One for ten images, in turn where more samples are asked for."""
    data = tiny_images(samples=60)
    images = row_of("k-means", data)
    k = TRAIN // 10
    assert len({image.tobytes() for image in images}) == k
    assert np.array_equal(images[k : 2 * k], images[:k])
    training = data.training.reshape(TRAIN, -1).astype(float)
    nearest = ((training[:, None] - images[:k].reshape(k, -1)) ** 2).sum(-1).argmin(axis=1)
    for j in np.unique(nearest):  # ten iterations need not reach a fixed point on every cluster
        mean = training[nearest == j].mean(axis=0)
        assert np.abs(mean - images[j].ravel()).mean() < 8


def test_copies_of_training_images_and_their_mean() -> None:
    data = tiny_images()
    images = row_of("memoriser", data)
    of_image = {
        image.tobytes(): label
        for image, label in zip(data.training, data.training_labels, strict=True)
    }
    labels = [of_image[image.tobytes()] for image in images]
    assert labels.count(0) == labels.count(1) == 20
    assert len({image.tobytes() for image in images}) == 40  # none twice
    mean = row_of("mean", data)
    assert (mean == mean[0]).all()
    assert np.abs(mean[0] - data.training.mean(axis=0)).max() <= 0.5


def test_too_few_classes_are_refused(tiny_study: Callable[..., StudyFolder], genlab: Any) -> None:
    """Where nobody knows their number before the images are read, the stage says so."""
    row = tiny_study().calibration_row("stripes", "noise")
    row.config.write_text(yaml.safe_dump(read_yaml(row.config) | {"row": "dropped-class-2"}))
    ended = genlab("calibrate", "--config", row.config)
    assert ended.status == 1
    assert ended.err == (
        "error: evaluation.calibration: 'dropped-class-2' leaves out 2 classes, but there are only "
        "2; remove it\n"
    )
    assert not row.samples.exists()


@pytest.mark.parametrize("every", [2, 3, 5])
def test_hold_out_takes_every_nth_of_each_class_in_order(every: int) -> None:
    labels = np.random.default_rng(0).integers(0, 3, 60)
    images = np.arange(60, dtype=np.uint8).reshape(60, 1, 1, 1)
    train, test = hold_out(images, labels, every)
    expected = [
        i for label in range(3) for i in np.flatnonzero(labels == label)[every - 1 :: every]
    ]
    assert test.images.ravel().tolist() == sorted(expected)
    assert sorted([*train.images.ravel(), *test.images.ravel()]) == list(range(60))
    for split in (train, test):
        assert np.array_equal(labels[split.images.ravel()], split.labels)


def test_a_sheet_shows_images_in_reading_order_on_grey() -> None:
    images = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1).repeat(2, axis=2).repeat(2, axis=3)
    sheet = tile(images, columns=2)[..., 0]
    assert sheet.tolist() == [
        [128] * 7,
        [128, 0, 0, 128, 1, 1, 128],
        [128, 0, 0, 128, 1, 1, 128],
        [128] * 7,
        [128, 2, 2, 128, 128, 128, 128],
        [128, 2, 2, 128, 128, 128, 128],
        [128] * 7,
    ]
