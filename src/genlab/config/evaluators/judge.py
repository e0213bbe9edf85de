"""The judge: a classifier of every factor of an image. It checks images drawn for a prompt."""

from __future__ import annotations

from collections.abc import Iterable

from genlab.config.evaluators import JUDGE, Evaluator
from genlab.config.families import FamilyConfig


class FactorClassifier(Evaluator):
    """A classifier of all factors, needed where a model takes prompts."""

    name = JUDGE
    trained = True
    section = "prompts"

    def needed(self, families: Iterable[FamilyConfig]) -> bool:
        return any(family.takes_prompts for family in families)
