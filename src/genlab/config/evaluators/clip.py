"""CLIP: how well an image fits a sentence. It ranks the images drawn for a prompt."""

from __future__ import annotations

from collections.abc import Iterable

from genlab.config.evaluators import CLIP, Evaluator
from genlab.config.families import FamilyConfig


class ImageTextSimilarity(Evaluator):
    """Similarity of images and sentences, needed where a model takes prompts."""

    name = CLIP
    trained = True
    section = "prompts"

    def needed(self, families: Iterable[FamilyConfig]) -> bool:
        return any(family.takes_prompts for family in families)
