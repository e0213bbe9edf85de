"""Metrics of a row as a whole, and the balance of classes, on images whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from genlab.config.study import EvaluationConfig
from genlab.evaluation.metrics import Comparison, Images, RowComparison, RowRecord
from genlab.evaluation.metrics.class_imbalance import ClassImbalance
from genlab.evaluation.metrics.classifier_accuracy import NOT_REQUESTED, ClassifierAccuracy
from genlab.evaluation.metrics.cmmd import CMMD
from genlab.evaluation.metrics.density_coverage import DensityCoverage
from genlab.evaluation.metrics.grey_values import GreyValues
from genlab.evaluation.metrics.swd import SWD

CONFIG = EvaluationConfig()


def row(generated: Images, real: Images, **labels: Any) -> RowComparison:
    """`generated` beside real images, half of which are held out."""
    half = len(real) // 2
    return RowComparison(generated, real[:half], real[half:], {}, CONFIG, **labels)


def digits(seed: int, n: int) -> tuple[Images, NDArray[np.int64]]:
    """Images of 14 x 14 pixels with a bright row that tells one of four classes, on black."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    images = np.zeros((n, 1, 14, 14), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[0, 3 * label + random.integers(2)] = random.integers(100, 256, 14)
    return images, labels


def test_black_that_is_merely_dark_is_noticed() -> None:
    """Half of the zeros, which are 13/14 of all values, become 1."""
    real, _ = digits(0, 400)
    generated, _ = digits(1, 200)
    same = GreyValues().compute(row(generated, real))
    assert same["excess_zeros"] == 0  # one bright row in every image
    dark = generated.copy()
    dark[:, :, :, ::2][dark[:, :, :, ::2] == 0] = 1
    values = GreyValues().compute(row(dark, real))
    assert values["excess_zeros"] == pytest.approx(-13 / 28, abs=1e-12)
    assert values["value_distance"] == pytest.approx(13 / 28, abs=0.02)
    assert same["value_distance"] < 0.02


def test_the_interval_of_excess_zeros_is_that_of_two_means() -> None:
    random = np.random.default_rng(0)
    shares = random.random(300)
    images = (random.random((300, 1, 8, 8)) > shares[:, None, None, None]).astype(np.uint8)
    values = GreyValues().compute(RowComparison(images[:100], images, images[100:], {}, CONFIG))
    black = (images == 0).mean(axis=(1, 2, 3))
    error = (np.var(black[:100], ddof=1) / 100 + np.var(black[100:], ddof=1) / 200) ** 0.5
    low, high = values["excess_zeros_low"], values["excess_zeros_high"]
    assert isinstance(low, float) and isinstance(high, float)
    assert high - low == pytest.approx(2 * 1.959963984540054 * error, rel=1e-9)
    assert (high + low) / 2 == pytest.approx(black[:100].mean() - black[100:].mean())


def test_samples_of_the_requested_class_train_a_classifier() -> None:
    """As well as real images do; samples of another class than requested train a wrong one."""
    real, labels = digits(0, 800)
    generated, requested = digits(1, 200)
    labels_by_split = {"training_labels": labels[:400], "held_out_labels": labels[400:]}
    values = ClassifierAccuracy().compute(
        row(generated, real, requested=requested, **labels_by_split)
    )
    assert values["classifier_accuracy"] == values["classifier_accuracy_real"] == 1
    assert values["classifier_accuracy_high"] == 1
    shuffled = np.random.default_rng(0).permutation(requested)
    wrong = ClassifierAccuracy().compute(
        row(generated, real, requested=shuffled, **labels_by_split)
    )
    accuracy = wrong["classifier_accuracy"]
    assert isinstance(accuracy, float) and accuracy < 0.6


def test_without_classes_or_held_out_images_nothing_is_computed() -> None:
    real, labels = digits(0, 40)
    none = RowComparison(real, real, None, {}, CONFIG)
    for metric in (SWD(), GreyValues(), ClassifierAccuracy()):
        assert set(metric.compute(none).values()) == {None}
    nothing = ClassifierAccuracy().compute(
        RowComparison(real, real, real, {}, CONFIG, labels * 0, labels * 0, labels * 0)
    )
    assert set(nothing.values()) == {None}
    record = RowRecord([], {}, "classifier", {}, nothing)
    assert set(ClassifierAccuracy().cells(record).values()) == {NOT_REQUESTED}
    small = RowComparison(real[..., :6], real[..., :6], real[..., :6], {}, CONFIG)
    assert set(SWD().compute(small).values()) == {None}


def test_the_levels_of_the_patches_are_averaged() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 1, 28, 28)).astype(np.uint8)
    values = SWD().compute(row(images[:20], images[20:]))
    fine, coarse = values["swd_fine"], values["swd_coarse"]
    assert isinstance(fine, float) and isinstance(coarse, float)
    assert values["swd"] == pytest.approx((fine + coarse) / 2)


def comparison(generated: NDArray[np.float32], real: NDArray[np.float32]) -> Comparison:
    """The same arrays as features and as logits."""
    sides = [{"features": x, "logits": x} for x in (generated, real)]
    return Comparison(sides[0], sides[1], CONFIG)


def test_a_missing_class_is_its_share() -> None:
    real = np.eye(10, dtype=np.float32)[np.arange(1000) % 10]
    generated = np.eye(10, dtype=np.float32)[1 + np.arange(900) % 9]
    assert ClassImbalance().compute(comparison(real, real))["class_imbalance"] == 0
    value = ClassImbalance().compute(comparison(generated, real))["class_imbalance"]
    assert value == pytest.approx(0.1)


def test_a_perfect_sampler_shows_the_imbalance_that_is_explained() -> None:
    """About 0.4 sqrt(K / N): the mean over 200 draws, within 5 %."""
    random = np.random.default_rng(0)
    real = np.eye(10, dtype=np.float32)[np.arange(1000) % 10]
    values = [
        ClassImbalance().compute(comparison(np.eye(10, dtype=np.float32)[labels], real))
        for labels in random.integers(0, 10, (200, 1000))
    ]
    mean = np.mean([value["class_imbalance"] for value in values])  # type: ignore[arg-type]
    assert mean == pytest.approx(0.4 * (10 / 1000) ** 0.5, rel=0.08)


def test_features_that_are_all_equal_have_no_kernel() -> None:
    zeros = np.zeros((20, 3), np.float32)
    assert set(CMMD().compute(comparison(zeros, zeros)).values()) == {None}


def test_all_columns_are_filled() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 60, 4)).astype(np.float32)
    for metric in (CMMD(), DensityCoverage(), ClassImbalance()):
        values = metric.compute(comparison(*x))
        assert list(values) == [name for column in metric.columns for name in column.names]
        assert all(isinstance(value, float) for value in values.values())
