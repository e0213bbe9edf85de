"""Linear probe: classes that lie plainly, hidden, or not at all in the latents."""

from __future__ import annotations

import numpy as np
import pytest

from genlab.evaluation.linear_probe import linear_probe

N = 600


def latents(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three latents: one that is the class plus noise, one whose square is, one inactive."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, N)
    plain = 4.0 * labels + random.standard_normal(N)
    ring = random.choice([-1.0, 1.0], N) * (1 + 2 * labels)
    return np.stack([plain, ring, 1e-3 * labels], axis=1), labels


def test_the_probe_sees_what_a_straight_line_separates() -> None:
    (train, labels), (test, truth) = latents(0), latents(1)
    plain = linear_probe((train[:, :1], labels), (test[:, :1], truth), active=0.01)
    bayes = 0.9772  # Phi(2): two normals whose means are 4 deviations apart
    assert plain == pytest.approx(bayes, abs=4 * (bayes * (1 - bayes) / N) ** 0.5)
    ring = linear_probe((train[:, 1:2], labels), (test[:, 1:2], truth), active=0.01)
    assert ring == pytest.approx(0.5, abs=0.1)  # no line tells -3 and 3 from -1 and 1


def test_an_inactive_latent_says_nothing() -> None:
    """Standardised, it would tell the classes without an error."""
    (train, labels), (test, truth) = latents(0), latents(1)
    probe = linear_probe((train[:, 2:], labels), (test[:, 2:], truth), active=0.01)
    most_frequent = np.bincount(labels).argmax()
    assert probe == np.mean(truth == most_frequent)
    assert linear_probe((train[:, 2:], labels), (test[:, 2:], truth), active=0.0) == 1


def test_scale_and_origin_of_a_latent_do_not_matter() -> None:
    (train, labels), (test, truth) = latents(0), latents(1)
    moved = [100 * part[:, :2] + 7 for part in (train, test)]
    assert linear_probe((moved[0], labels), (moved[1], truth), 0.01) == linear_probe(
        (train[:, :2], labels), (test[:, :2], truth), 0.01
    )


def test_one_class_has_nothing_to_tell() -> None:
    train, labels = latents(0)
    assert linear_probe((train, 0 * labels), (train, 0 * labels), 0.01) is None
