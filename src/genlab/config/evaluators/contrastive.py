"""The contrastive encoder: features that are learned from the data set without its labels."""

from __future__ import annotations

from collections.abc import Mapping

from genlab.config.evaluators import Evaluator
from genlab.config.families import FamilyConfig
from genlab.config.families.contrastive import ContrastiveConfig


class ContrastiveEncoder(Evaluator):
    """An encoder that tells images apart, trained by the workflow."""

    name = "contrastive"
    trained = True
    section = "evaluation"
    extracts = True
    predicts_classes = False
    explanation = (
        "Features of an encoder that learned without labels to recognise an image after crops, "
        "blur and changes of contrast (SimCLR). They see shape and style, not only what separates "
        "the classes, and little of what those changes destroy."
    )

    def quality(self, held_out: Mapping[str, float], classes: int) -> str:
        return (
            f"{100 * held_out['accuracy']:.1f} % of views of held-out images are nearest to the "
            "other view of the same image, among all views of a batch as large as in training."
        )

    def dimensions(self, model: FamilyConfig | None) -> int:
        if not isinstance(model, ContrastiveConfig):
            raise TypeError(f"expected the hyperparameters of an encoder, got {model!r}")
        return model.features
