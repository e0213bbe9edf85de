"""Principal components of the pixels: layout and strokes, without any training."""

from __future__ import annotations

from genlab.config.evaluators import Evaluator
from genlab.config.families import FamilyConfig

COMPONENTS = 64
"""Number of principal components; images with fewer values have fewer."""


class PixelPCA(Evaluator):
    """The leading principal components of the training images, each scaled to unit variance."""

    name = "pixel-pca"
    extracts = True
    predicts_classes = False
    fitted = True
    explanation = (
        f"The {COMPONENTS} leading principal components of the training images' pixels, each of "
        "unit variance. They see layout, brightness and coarse shape; fine grain has little "
        "influence on them."
    )

    def dimensions(self, model: FamilyConfig | None) -> int:
        return COMPONENTS
