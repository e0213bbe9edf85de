"""Settings of the sampler `dpm-solver` (`genlab.samplers.dpm_solver`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.samplers.base import Spacing, SteppedSampler


class DPMSolverSampler(SteppedSampler):
    """DPM-Solver++(2M): second order with one evaluation a step, from the previous x_0."""

    sampler: Literal["dpm-solver"] = "dpm-solver"
    spacing: Spacing = "log-snr"
    """How the steps are placed along the path."""
    stochastic: bool = False
    """Solve the reverse SDE instead of the ODE: SDE-DPM-Solver++(2M)."""

    label: ClassVar[str] = "DPM-Solver++"
    place: ClassVar[int] = 50
    explanation: ClassVar[str] = (
        "Second-order solver of the probability-flow ODE (Lu et al. 2022) that extrapolates the "
        "predicted image from the previous step."
    )
    deterministic: ClassVar[bool] = True
