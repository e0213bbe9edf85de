"""Evaluators, one file each, found by its name: what the models of a study are measured by.

An evaluator is a network that the workflow trains once for each data set with seed 0 (`trained`),
a feature extractor (`extracts`), or both. Its class here carries all facts that planning needs and
imports no torch. An extractor's computation is in `genlab.evaluation.extractors`, a trained
evaluator's family in `genlab.config.families`, each in a file of the same name.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from genlab.config.families import FamilyConfig
from genlab.errors import GenLabError, nearest
from genlab.registry import classes_in

if TYPE_CHECKING:
    from genlab.config.sources import DatasetConfig
    from genlab.config.study import EvaluationConfig, StudyFile

CALIBRATION = "calibration"
"""The folder of the calibration rows, beside those of the models."""
CLASSIFIER = "classifier"
CLIP = "clip"
JUDGE = "judge"


class Evaluator:
    """What the models of a study are measured by."""

    name: ClassVar[str]
    """In a study's `evaluation.extractors` and under results/; the file's name with '-' for '_'."""
    explanation: ClassVar[str] = ""
    """What readers should know of its features."""
    trained: ClassVar[bool] = False
    """Whether the workflow trains it, from the preset and the family of its own name."""
    section: ClassVar[Literal["evaluation", "prompts"] | None] = None
    """The section of a study whose key of the evaluator's name changes its training."""
    extracts: ClassVar[bool] = False
    """Whether metrics can be computed from its features."""
    predicts_classes: ClassVar[bool] = True
    """Whether an extractor returns class logits besides its features."""
    fitted: ClassVar[bool] = False
    """Whether an extractor is fitted to the training images each time it is made, in seconds."""

    @property
    def key(self) -> str:
        """Its name in Python: of its modules, its family, and its key in `section`."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """The module of an extractor."""
        return f"genlab.evaluation.extractors.{self.key}"

    def needed(self, families: Iterable[FamilyConfig], extractors: Collection[str]) -> bool:
        """Whether a study with models of these families and these extractors trains it.

        Those of the section `prompts` are needed where a model takes prompts.
        """
        if self.section == "prompts":
            return any(family.takes_prompts for family in families)
        return self.name in extractors

    def trains_on(self, data: DatasetConfig) -> bool:
        """Whether a study that needs it trains it on this data set."""
        return True

    def training(self, file: StudyFile) -> dict[str, Any]:
        """The changes that a study makes to its training."""
        if self.section is None:
            return {}
        changes: dict[str, Any] = getattr(getattr(file, self.section), self.key)
        return changes

    def dimensions(self, model: FamilyConfig | None) -> int:
        """Number of features of an extractor; of small or grey images it may return fewer.

        Args:
            model: the hyperparameters of a trained evaluator; None of any other.
        """
        raise NotImplementedError

    def tells_classes(self, classes: int) -> bool:
        """Whether an extractor's logits are those of classes, on a data set with `classes`."""
        return self.predicts_classes

    def quality(self, held_out: Mapping[str, float], classes: int) -> str:
        """How well a trained extractor does what it was trained for, in a sentence for the page.

        Args:
            held_out: means over the held-out images of the values of its loss.
            classes: of the data set.
        """
        raise NotImplementedError

    def warning(self, held_out: Mapping[str, float], classes: int) -> str:
        """A sentence against relying on its features; empty if they can be relied on."""
        return ""

    def label(self, classes: int) -> str:
        """Name of an extractor in the league, on a data set with this number of classes."""
        return self.name

    def files(self, config: EvaluationConfig) -> list[str]:
        """Files of the user's own that it reads."""
        return []

    def problems(self, config: EvaluationConfig) -> list[str]:
        """Reasons why it can't be used; each begins with a key of `evaluation:`."""
        return []


@functools.cache
def evaluators() -> dict[str, Evaluator]:
    """All evaluators by name."""
    return {kind.name: kind() for kind in classes_in(__name__, Evaluator)}


def trained_evaluators() -> dict[str, Evaluator]:
    """The evaluators that the workflow trains, by name."""
    return {name: evaluator for name, evaluator in evaluators().items() if evaluator.trained}


def extractors() -> dict[str, Evaluator]:
    """The feature extractors, by name."""
    return {name: evaluator for name, evaluator in evaluators().items() if evaluator.extracts}


def extractor(name: str) -> Evaluator:
    """The feature extractor `name`.

    Raises:
        GenLabError: there is none of this name.
    """
    if name not in extractors():
        raise GenLabError(f"unknown extractor '{name}': {nearest(name, extractors())}")
    return extractors()[name]


def seed_of(model: str, seed: int) -> int:
    """The seed of the run of `model` that a run with `seed` builds on or is measured by."""
    return 0 if model in trained_evaluators() else seed
