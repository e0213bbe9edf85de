"""A budget in parameters: whether a model has the size that its study asks for."""

from __future__ import annotations

from torch import nn

from genlab.config.study import TrainingConfig
from genlab.errors import GenLabError
from genlab.models.base import Model

TOLERANCE = 0.05
"""Largest share by which a model may be smaller or larger than the budget."""


def parameter_count(model: nn.Module) -> int:
    """Number of parameters, those of a frozen first stage included."""
    return sum(parameter.numel() for parameter in model.parameters())


def fits(count: int, budget: int) -> bool:
    """Whether `count` parameters are within the tolerance of the budget."""
    return abs(count - budget) <= TOLERANCE * budget


def check_size(name: str, model: Model, training: TrainingConfig) -> None:
    """Refuse a model that draws images and has another size than `training.parameters`.

    Raises:
        GenLabError: with both numbers.
    """
    budget = training.parameters
    if budget is None or model.config.generates == "nothing":
        return
    count = parameter_count(model)
    if not fits(count, budget):
        raise GenLabError(
            f"{name}: has {count:,} parameters, but training.parameters is {budget:,}, and only "
            f"{TOLERANCE:.0%} more or less are within the budget; change the width of its layers"
        )
