"""Settings of the sampler `unipc` (`genlab.samplers.unipc`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.samplers.base import Spacing, SteppedSampler


class UniPCSampler(SteppedSampler):
    """UniPC: one evaluation a step, extrapolated from the earlier x_0 and corrected afterwards."""

    sampler: Literal["unipc"] = "unipc"
    spacing: Spacing = "log-snr"
    """How the steps are placed along the path."""
    order: Annotated[int, Field(ge=1, le=4)] = 2
    """Number of evaluations that the predictor uses, its order; that of the corrector is one more.
    Orders above 2 gain at many steps only (benchmarks/README.md)."""
    corrector: bool = True
    """Correct each state with the evaluation that follows it."""

    label: ClassVar[str] = "UniPC"
    place: ClassVar[int] = 55
    explanation: ClassVar[str] = (
        "Solver of the probability-flow ODE (Zhao et al. 2023). It extrapolates the predicted "
        "image from the earlier steps, as DPM-Solver++ does, and corrects each state with the next "
        "evaluation."
    )
    deterministic: ClassVar[bool] = True
