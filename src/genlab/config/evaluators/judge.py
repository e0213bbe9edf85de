"""The judge: a classifier of every factor of an image. It checks images drawn for a prompt."""

from __future__ import annotations

from genlab.config.evaluators import JUDGE, Evaluator


class FactorClassifier(Evaluator):
    """A classifier of all factors, needed where a model takes prompts."""

    name = JUDGE
    trained = True
    section = "prompts"
