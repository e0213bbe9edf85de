"""Settings of the sampler `euler` (`genlab.samplers.euler`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.samplers.base import SteppedSampler


class EulerSampler(SteppedSampler):
    """Euler's method on the probability-flow ODE, in the path's own time."""

    sampler: Literal["euler"] = "euler"

    label: ClassVar[str] = "Euler"
    place: ClassVar[int] = 70
    explanation: ClassVar[str] = (
        "First-order solver of the probability-flow ODE in the path's own time."
    )
    deterministic: ClassVar[bool] = True
