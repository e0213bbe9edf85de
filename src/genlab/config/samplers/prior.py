"""Settings of the sampler `prior`: one pass of the model (`Generates.generate`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.samplers.base import DirectSampler


class PriorSampler(DirectSampler):
    """Draws a latent from the prior and decodes it, in one pass."""

    sampler: Literal["prior"] = "prior"

    label: ClassVar[str] = "Prior"
    place: ClassVar[int] = 10
    explanation: ClassVar[str] = "Draws a latent from the prior and decodes it in one pass."
