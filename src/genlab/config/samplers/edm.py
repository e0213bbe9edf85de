"""Settings of the sampler `edm` (`genlab.samplers.edm`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from genlab.config.samplers.base import Spacing, SteppedSampler


class EDMSampler(SteppedSampler):
    """EDM's sampler: Heun's method in x / alpha, two evaluations a step, with optional churn."""

    sampler: Literal["edm"] = "edm"
    spacing: Spacing = "karras"
    """How the steps are placed along the path."""
    churn: NonNegativeFloat = 0.0
    """S_churn: amount of noise added over all steps; 0 is deterministic."""
    churn_from: NonNegativeFloat = 0.05
    """S_tmin: least ratio sigma / alpha at which noise is added."""
    churn_to: PositiveFloat = 50.0
    """S_tmax: largest ratio sigma / alpha at which noise is added."""
    churn_noise: PositiveFloat = 1.003
    """S_noise: standard deviation of the added noise."""

    label: ClassVar[str] = "EDM"
    place: ClassVar[int] = 60
    explanation: ClassVar[str] = (
        "Heun's method in the ratio of noise to signal (Karras et al. 2022); churn adds noise "
        "before each step."
    )
    deterministic: ClassVar[bool] = True
    evaluations_per_step: ClassVar[int] = 2

    @model_validator(mode="after")
    def _churn_range_is_not_empty(self) -> EDMSampler:
        if self.churn_from > self.churn_to:
            raise ValueError(
                f"churn_from {self.churn_from} is above churn_to {self.churn_to}, so no noise "
                "would ever be added; exchange the two"
            )
        return self
