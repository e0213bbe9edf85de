"""The judge: a classifier of every factor of an image. It checks images drawn for a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genlab.config.evaluators import JUDGE, Evaluator

if TYPE_CHECKING:
    from genlab.config.sources import DatasetConfig


class FactorClassifier(Evaluator):
    """A classifier of all factors, needed where a model takes prompts."""

    name = JUDGE
    trained = True
    section = "prompts"

    def trains_on(self, data: DatasetConfig) -> bool:
        """Where it can tell if a picture shows what its caption says."""
        return data.checkable
