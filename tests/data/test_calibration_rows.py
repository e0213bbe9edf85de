"""The rows that calibrate the table: real held-out images, each once, and uniform noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import yaml
from tiny import TEST

from genlab.config.base import read_yaml
from genlab.data.arrays import hold_out
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
