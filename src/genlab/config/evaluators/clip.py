"""CLIP: how well an image fits a sentence. It ranks the images drawn for a prompt."""

from __future__ import annotations

from genlab.config.evaluators import CLIP, Evaluator


class ImageTextSimilarity(Evaluator):
    """Similarity of images and sentences, needed where a model takes prompts."""

    name = CLIP
    trained = True
    section = "prompts"
