"""The samplers, and which kind of model each one works on.

A sampler along a Gaussian path is one file in `genlab.samplers` and one class here; from then on
every family with a Gaussian path can be sampled with it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from genlab.config.base import Strict
from genlab.config.families import FamilyConfig, Generates


class SamplerConfig(Strict):
    """Settings of a sampler; one row of the league each."""

    sampler: str
    works_on: ClassVar[Generates] = "gaussian"
    """The kind of model it draws from."""

    def fits(self, family: FamilyConfig) -> bool:
        """Whether it can draw from a model of `family`."""
        return self.works_on == family.generates


class PriorSampler(SamplerConfig):
    """Draw the latent from the prior and decode it, in one pass."""

    sampler: Literal["prior"] = "prior"
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Below 1 samples stay nearer the mode: they look cleaner and vary less. A Gaussian prior's
    standard deviation is multiplied by it; a transformer's logits are divided by it. Another
    value than 1 draws only from families that know a temperature."""
    works_on: ClassVar[Generates] = "direct"

    def fits(self, family: FamilyConfig) -> bool:
        return super().fits(family) and (self.temperature == 1 or family.tempered)


class PathSampler(SamplerConfig):
    """A sampler that walks a Gaussian path in steps, one evaluation of the network each."""

    steps: PositiveInt = 50


class DDPMSampler(PathSampler):
    """Ancestral sampling with the posterior variance, over any number of respaced steps."""

    sampler: Literal["ddpm"] = "ddpm"


class DDIMSampler(PathSampler):
    """DDIM; eta 0 is deterministic, eta 1 adds as much noise as ancestral sampling."""

    sampler: Literal["ddim"] = "ddim"
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0


SAMPLERS: dict[str, type[SamplerConfig]] = {
    kind.model_fields["sampler"].default: kind for kind in (PriorSampler, DDPMSampler, DDIMSampler)
}


def settings(config: SamplerConfig) -> dict[str, Any]:
    """What the sampler takes as keyword arguments."""
    return config.model_dump(exclude={"sampler"})
