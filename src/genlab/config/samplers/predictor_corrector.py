"""Settings of the sampler `predictor-corrector` (`genlab.samplers.predictor_corrector`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat

from genlab.config.samplers.base import SteppedSampler


class PredictorCorrectorSampler(SteppedSampler):
    """A step of a predictor, then steps of Langevin dynamics at the level reached."""

    sampler: Literal["predictor-corrector"] = "predictor-corrector"
    predictor: Literal["euler-maruyama", "reverse-diffusion", "ancestral"] = "reverse-diffusion"
    """Method of a step; `genlab.samplers.predictor_corrector` defines each."""
    corrections: Annotated[int, Field(ge=0, le=100)] = 1
    """Langevin steps after each step of the predictor, one evaluation each."""
    snr: PositiveFloat = 0.16
    """Signal-to-noise ratio of a Langevin step. It sets the step's length, and also its bias: the
    variance of the noise grows by a factor of about 1 + snr^2."""

    label: ClassVar[str] = "Predictor-corrector"
    place: ClassVar[int] = 120
    explanation: ClassVar[str] = (
        "A step of the reverse SDE, followed by Langevin steps that correct the sample at its new "
        "noise level (Song et al. 2021)."
    )

    @property
    def evaluations(self) -> int:
        """Network evaluations of one sample, without guidance."""
        return (1 + self.corrections) * (self.steps - 1) + 1
