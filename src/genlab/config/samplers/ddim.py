"""Settings of the sampler `ddim` (`genlab.samplers.ddim`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.samplers.base import SteppedSampler


class DDIMSampler(SteppedSampler):
    """DDIM; eta 0 is deterministic, eta 1 adds as much noise as ancestral sampling."""

    sampler: Literal["ddim"] = "ddim"
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the noise of ancestral sampling."""

    label: ClassVar[str] = "DDIM"
    place: ClassVar[int] = 40
    explanation: ClassVar[str] = (
        "First-order solver of the probability-flow ODE (Song et al. 2021); eta above 0 adds noise."
    )
    deterministic: ClassVar[bool] = True
