"""Settings of the sampler `euler-maruyama` (`genlab.samplers.euler_maruyama`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.samplers.base import SteppedSampler


class EulerMaruyamaSampler(SteppedSampler):
    """Euler-Maruyama on the reverse SDE, in the path's own time."""

    sampler: Literal["euler-maruyama"] = "euler-maruyama"

    label: ClassVar[str] = "Euler-Maruyama"
    place: ClassVar[int] = 110
    explanation: ClassVar[str] = "First-order solver of the reverse SDE (Song et al. 2021)."
