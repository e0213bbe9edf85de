"""Settings of the sampler `midpoint` (`genlab.samplers.midpoint`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.samplers.base import SteppedSampler


class MidpointSampler(SteppedSampler):
    """The midpoint method on the probability-flow ODE; two evaluations a step."""

    sampler: Literal["midpoint"] = "midpoint"

    label: ClassVar[str] = "Midpoint"
    place: ClassVar[int] = 80
    explanation: ClassVar[str] = (
        "Second-order solver of the probability-flow ODE with two evaluations a step."
    )
    deterministic: ClassVar[bool] = True
    evaluations_per_step: ClassVar[int] = 2
