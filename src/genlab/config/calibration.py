"""Calibration rows: their names, and what each consists of (`genlab.data.calibration`).

A calibration row is a row of the league whose images come from no model. Its flaw is known, so it
shows what a metric notices. A flaw that has degrees is a kind with several strengths, named
KIND-1, KIND-2 ... from weak to strong; the others are rows of their own, named KIND.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class CalibrationKind:
    """A kind of calibration row."""

    description: str
    """For readers: what its images are."""
    origin: Literal["held-out", "training", "nothing"]
    """The images that it is made of. Rows of held-out images change those of the row `real`."""
    strengths: int = 0
    """Number of strengths, from weak to strong; 0 for a row without degrees."""

    def rows(self, kind: str) -> list[str]:
        """The names of its rows."""
        return [f"{kind}-{k}" for k in range(1, self.strengths + 1)] or [kind]


KINDS = {
    "real": CalibrationKind("Held-out real images: the best that a metric can show.", "held-out"),
    "noise": CalibrationKind("Uniform noise: a model that has learned nothing.", "nothing"),
    "blur": CalibrationKind("Real images, blurred by a Gaussian.", "held-out", 3),
    "jpeg": CalibrationKind("Real images, compressed by JPEG at low quality.", "held-out", 3),
    "grain": CalibrationKind("Real images with Gaussian noise on every pixel.", "held-out", 3),
    "veil": CalibrationKind("Real images behind a grey veil: less contrast.", "held-out", 3),
    "dropped-class": CalibrationKind(
        "Real images without one, two, or half of the classes.", "held-out", 3
    ),
    "k-means": CalibrationKind("Means of similar training images, as k-means finds.", "training"),
    "mean": CalibrationKind("The mean training image, over and over.", "training"),
    "memoriser": CalibrationKind("Copies of training images, drawn at random.", "training"),
}
"""All kinds, in the order of tables."""


def calibration_rows() -> list[str]:
    """The names of all calibration rows."""
    return [row for kind, facts in KINDS.items() for row in facts.rows(kind)]


def split_row(row: str) -> tuple[str, int]:
    """The kind and the strength of a calibration row; strength 0 stands for a row without degrees.

    Raises:
        KeyError: there is no calibration row of this name.
    """
    rows = {
        name: (kind, k)
        for kind, facts in KINDS.items()
        for k, name in enumerate(facts.rows(kind), start=1 if facts.strengths else 0)
    }
    return rows[row]


def dropped_classes(strength: int, classes: int) -> int:
    """Number of classes that the row dropped-class-STRENGTH leaves out: one, two, about half.

    Each strength drops more than the one before, so of four classes the last one drops three.
    """
    return strength if strength < 3 else max(3, classes // 2)
