"""Models that others are measured by: each is trained once for each data set, with seed 0."""

from __future__ import annotations

FLOOR = "floor"
CLASSIFIER = "classifier"
CLIP = "clip"
JUDGE = "judge"
EVALUATORS = (CLASSIFIER, CLIP, JUDGE)


def seed_of(model: str, seed: int) -> int:
    """The seed of the run of `model` that a run with `seed` builds on or is judged by."""
    return 0 if model in EVALUATORS else seed
