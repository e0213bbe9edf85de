"""Settings of the sampler `dopri5` (`genlab.samplers.dopri5`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveFloat

from genlab.config.samplers.base import PathSampler


class Dopri5Sampler(PathSampler):
    """Dormand and Prince's adaptive method of order 5 on the probability-flow ODE.

    Every sample chooses its own steps, so it does not depend on its batch.
    """

    sampler: Literal["dopri5"] = "dopri5"
    rtol: PositiveFloat = 1e-3
    """Relative tolerance of a step."""
    atol: PositiveFloat = 1e-3
    """Absolute tolerance of a step."""

    label: ClassVar[str] = "Dormand-Prince"
    place: ClassVar[int] = 100
    explanation: ClassVar[str] = (
        "Adaptive solver of order 5 of the probability-flow ODE: the tolerance decides the number "
        "of steps."
    )
    deterministic: ClassVar[bool] = True
