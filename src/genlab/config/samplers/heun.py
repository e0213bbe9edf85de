"""Settings of the sampler `heun` (`genlab.samplers.heun`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.samplers.base import SteppedSampler


class HeunSampler(SteppedSampler):
    """Heun's method on the probability-flow ODE; two evaluations a step."""

    sampler: Literal["heun"] = "heun"

    label: ClassVar[str] = "Heun"
    place: ClassVar[int] = 90
    explanation: ClassVar[str] = (
        "Second-order solver of the probability-flow ODE with two evaluations a step."
    )
    deterministic: ClassVar[bool] = True
    evaluations_per_step: ClassVar[int] = 2
