"""Low-level statistics of an image: grain, blur, contrast and the histogram of its values."""

from __future__ import annotations

from genlab.config.evaluators import Evaluator
from genlab.config.families import FamilyConfig

LEVELS = 3
"""Levels of the Laplacian pyramid, each of half the side of the one before."""
PER_CHANNEL = 4 * LEVELS + 2
"""Moments of each level, and two of what remains."""
PER_IMAGE = 9 + 2
"""Shares of grey values, and the energies of the gradients."""


class LowLevel(Evaluator):
    """Statistics of a Laplacian pyramid, of the values, and of their differences."""

    name = "low-level"
    extracts = True
    predicts_classes = False
    fitted = True
    explanation = (
        "Statistics of single images: moments of a Laplacian pyramid, shares of black, white and "
        "grey pixels, energy of the gradients, each of unit variance over the training images. "
        "They see grain, blur and grey veils, and nothing of what is shown."
    )

    def dimensions(self, model: FamilyConfig | None) -> int:
        return 3 * PER_CHANNEL + PER_IMAGE
