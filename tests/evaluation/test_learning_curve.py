"""Copies among samples by brute force, and the gap between training and held-out images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from genlab.config.study import EvaluationConfig
from genlab.evaluation.learning_curve import copied_share, measure_quality, nearest_ratios
from genlab.evaluation.memorisation.copying import copies
from genlab.evaluation.memorisation.neighbours import feature_space
from genlab.evaluation.metrics import Features, Images

CONFIG = EvaluationConfig(samples=200)


def images(seed: int, n: int) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (n, 1, 6, 6), dtype=np.uint8)


def test_ratios_are_those_of_brute_force() -> None:
    """Of more samples than fit into one chunk, some of them near a training image."""
    training, samples = images(0, 50), images(1, 300)
    samples[::7] = training[np.arange(0, 300, 7) % 50] ^ 3
    expected = []
    for x in samples.reshape(300, -1).astype(float):
        first, second = np.sort(np.linalg.norm(training.reshape(50, -1) - x, axis=1))[:2]
        expected.append(first / second)
    assert nearest_ratios(samples, training) == pytest.approx(expected)
    assert copied_share(samples, training) == np.mean(np.array(expected) < 1 / 3)
    assert copied_share(samples, training) == 43 / 300


def test_copies_are_found_of_twins_as_well_and_as_the_audit_finds_them() -> None:
    """Twins are an image that the training set holds twice; a sample near both is like neither."""
    training = images(0, 20)
    assert copied_share(training[:10], training) == 1
    twins = np.concatenate([training, training])
    samples = np.concatenate([training[:5], training[5:10] ^ 3, images(1, 10)])
    assert copied_share(samples, twins) == 0.25
    assert copied_share(samples, training) == 0.5
    for real in (training, twins):
        neighbours = feature_space(flat(real), flat(training)).search(flat(samples))
        assert copies(neighbours).value == 100 * copied_share(samples, real)


def flat(pixels: Images) -> NDArray[np.float32]:
    return pixels.reshape(len(pixels), -1).astype(np.float32)


def space(seed: int, n: int) -> Features:
    normal = np.random.default_rng(seed).standard_normal((n, 8)).astype(np.float32)
    return {"features": normal, "logits": np.zeros((n, 0), np.float32)}


def test_the_gap_is_large_for_copies_and_near_zero_for_fresh_samples() -> None:
    """Although held-out images are fewer, which raises the distance to them."""
    training, held_out = space(0, 2000), space(1, 400)
    fresh = measure_quality(space(2, 2000), training, held_out, CONFIG)
    copies = measure_quality(training, training, held_out, CONFIG)
    assert copies["fid"] == pytest.approx(0, abs=1e-4)
    assert fresh["fid_held_out"] > fresh["fid"]  # type: ignore[operator]
    # Both distances are about those of 400 fresh vectors, (trace of the bias) 8 * 9 / (4 * 400).
    bias = 8 * 9 / (4 * 400)
    assert abs(fresh["fid_gap"]) < bias / 2  # type: ignore[arg-type]
    assert copies["fid_gap"] > 0  # type: ignore[operator]


def test_too_few_held_out_images_have_no_distance() -> None:
    values = measure_quality(space(2, 400), space(0, 400), space(1, 5), CONFIG)
    assert values["fid_held_out"] is None and values["fid_gap"] is None
    assert values["fid"] is not None
