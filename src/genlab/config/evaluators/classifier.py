"""The domain classifier: features of a network that is trained on the data set itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from genlab.config.evaluators import CLASSIFIER, Evaluator
from genlab.config.families import FamilyConfig
from genlab.config.families.classifier import ClassifierConfig

TURNS = "classifier of turns"
"""Its name on a data set with one class, where it learns which way an image was turned."""

LEAST_ACCURACY = 0.9
"""Share of held-out images below which the page warns of its features."""


class DomainClassifier(Evaluator):
    """A classifier of the data set's classes, whose features measure generated images."""

    name = CLASSIFIER
    trained = True
    section = "evaluation"
    extracts = True
    explanation = (
        "Its features are those that separate the classes of the data set (of scenes, the first "
        "digit); everything else in an image has little influence on them."
    )

    def needed(self, families: Iterable[FamilyConfig], extractors: Collection[str]) -> bool:
        return True

    def dimensions(self, model: FamilyConfig | None) -> int:
        if not isinstance(model, ClassifierConfig):
            raise TypeError(f"expected the hyperparameters of a classifier, got {model!r}")
        return model.features

    def tells_classes(self, classes: int) -> bool:
        return classes > 1

    def quality(self, held_out: Mapping[str, float], classes: int) -> str:
        correct = f"{100 * held_out['accuracy']:.1f} % of held-out images right"
        if classes > 1:
            return f"{correct}."
        return (
            f"{correct}. The data set has no classes, so the classifier predicts by which of four "
            "quarter turns an image was rotated (“classifier of turns”); chance is 25 %."
        )

    def warning(self, held_out: Mapping[str, float], classes: int) -> str:
        if held_out["accuracy"] >= LEAST_ACCURACY:
            return ""
        return (
            f"Fewer than {100 * LEAST_ACCURACY:.0f} % are right, so its features separate these "
            "classes poorly: compare models in another feature space, or train it longer."
        )

    def label(self, classes: int) -> str:
        return TURNS if classes == 1 else self.name
