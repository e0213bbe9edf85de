"""Settings of the sampler `ddpm` (`genlab.samplers.ddpm`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.families import FamilyConfig
from genlab.config.samplers.base import SteppedSampler


class DDPMSampler(SteppedSampler):
    """Ancestral sampling, over any number of respaced steps."""

    sampler: Literal["ddpm"] = "ddpm"
    variance: Literal["small", "large", "learned"] = "small"
    """Variance of a step: that of the posterior given x_0 ('small'), that of the forward step
    ('large'), or the one that the network learned between the two ('learned')."""

    label: ClassVar[str] = "DDPM"
    place: ClassVar[int] = 30
    explanation: ClassVar[str] = (
        "Ancestral sampling (Ho et al. 2020): each step draws from the posterior given the "
        "predicted image, which adds new noise."
    )

    def obstacle(self, family: FamilyConfig) -> str | None:
        if self.variance == "learned" and not family.learns_variance:
            return "the model learned no variance (learned_variance: true)"
        return super().obstacle(family)
