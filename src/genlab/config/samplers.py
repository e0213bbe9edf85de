"""The samplers, and which kind of model each one works on.

A sampler along a Gaussian path is one file in `genlab.samplers` and one class here; from then on
every family with a Gaussian path can be sampled with it.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from genlab.config.base import Precision, Steps, Strict
from genlab.config.families import FamilyConfig, Generates

Spacing = Literal["uniform", "quadratic", "karras", "log-snr"]
"""Where along the path the steps are taken; `genlab.processes.spacing` says how."""


class SamplerConfig(Strict):
    """Settings of a sampler; one row of the league each."""

    sampler: str
    works_on: ClassVar[Generates] = "gaussian"
    """The kind of model it draws from."""

    def obstacle(self, family: FamilyConfig) -> str | None:
        """Why it can't draw from a model of `family`; None if it can."""
        if self.works_on == family.generates:
            return None
        ways = {
            "direct": "in one pass",
            "gaussian": "along a Gaussian path",
            "nothing": "nothing at all",
        }
        return f"it draws {ways[self.works_on]}, the model {ways[family.generates]}"

    def fits(self, family: FamilyConfig) -> bool:
        """Whether it can draw from a model of `family`."""
        return self.obstacle(family) is None


class DirectSampler(SamplerConfig):
    """A sampler of models that draw in one pass, or one token after the other."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Below 1 samples stay nearer the mode: they look cleaner and vary less. A Gaussian prior's
    standard deviation is multiplied by it; a transformer's logits are divided by it. Another
    value than 1 draws only from families that know a temperature."""
    works_on: ClassVar[Generates] = "direct"

    def obstacle(self, family: FamilyConfig) -> str | None:
        if self.temperature != 1 and not family.tempered:
            return "the model knows no temperature but 1"
        return super().obstacle(family)


class PriorSampler(DirectSampler):
    """Draw the latent from the prior and decode it, in one pass."""

    sampler: Literal["prior"] = "prior"


class TokenSampler(DirectSampler):
    """Draw a sequence of tokens, each from the likeliest ones, and decode it."""

    sampler: Literal["tokens"] = "tokens"
    top_k: PositiveInt | None = None
    """Draw each token from so many at most, the likeliest; null draws from all."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw each token from the fewest that together have this share of the probability, after
    temperature and top_k; null draws from all."""
    guidance: NonNegativeFloat = 1.0
    """w of classifier-free guidance of the logits: 1 asks for the prompt, more exaggerates it, 0
    doesn't ask. Any other value than 1 draws only from models that take prompts."""

    def obstacle(self, family: FamilyConfig) -> str | None:
        if family.generates == "direct" and not family.draws_tokens:
            return "the model draws no tokens"
        if self.guidance != 1 and not family.takes_prompts:
            return "the model takes no prompts to be guided to"
        return super().obstacle(family)


class PathSampler(SamplerConfig):
    """A sampler that walks a Gaussian path."""

    guidance: NonNegativeFloat = 1.0
    """w of classifier-free guidance: 1 asks for the class or prompt, more exaggerates it, 0 doesn't
    ask. Any other value than 1 draws only from models that know classes or take prompts; only 0 and
    1 take one evaluation of the network, others two."""

    def obstacle(self, family: FamilyConfig) -> str | None:
        if self.guidance != 1 and not (family.knows_classes or family.takes_prompts):
            return (
                "the model knows neither classes nor words to be guided to (conditional: true, or "
                "text: true where the family has it)"
            )
        return super().obstacle(family)


class SteppedSampler(PathSampler):
    """A sampler that takes a fixed number of steps; how often each calls the network, it says."""

    steps: Steps = 50
    spacing: Spacing = "uniform"
    precision: Precision = "auto"
    """What the network is computed in; the walk itself is added up in float64. Samplers that choose
    their steps by their error have none: it would see the rounding of bfloat16."""


class DDPMSampler(SteppedSampler):
    """Ancestral sampling, over any number of respaced steps."""

    sampler: Literal["ddpm"] = "ddpm"
    variance: Literal["small", "large", "learned"] = "small"
    """Of a step: that of the posterior given x_0, that of the forward step, or what the network
    learned in between."""

    def obstacle(self, family: FamilyConfig) -> str | None:
        if self.variance == "learned" and not getattr(family, "learned_variance", False):
            return "the model learned no variance (learned_variance: true)"
        return super().obstacle(family)


class DDIMSampler(SteppedSampler):
    """DDIM; eta 0 is deterministic, eta 1 adds as much noise as ancestral sampling."""

    sampler: Literal["ddim"] = "ddim"
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0


class DPMSolverSampler(SteppedSampler):
    """DPM-Solver++(2M): second order in one evaluation a step, from the x_0 before it."""

    sampler: Literal["dpm-solver"] = "dpm-solver"
    spacing: Spacing = "log-snr"
    stochastic: bool = False
    """Solve the reverse SDE instead of the ODE: SDE-DPM-Solver++(2M)."""


class EDMSampler(SteppedSampler):
    """EDM's: Heun's method in x / alpha, two evaluations a step, with optional churn."""

    sampler: Literal["edm"] = "edm"
    spacing: Spacing = "karras"
    churn: NonNegativeFloat = 0.0
    """S_churn: how much noise is added anew over all steps; 0 is deterministic."""
    churn_from: NonNegativeFloat = 0.05
    churn_to: PositiveFloat = 50.0
    """S_tmin, S_tmax: between these ratios sigma / alpha."""
    churn_noise: PositiveFloat = 1.003
    """S_noise: the standard deviation of the new noise."""

    @model_validator(mode="after")
    def _there_are_ratios_to_churn_at(self) -> EDMSampler:
        if self.churn_from > self.churn_to:
            raise ValueError(
                f"churn_from {self.churn_from} lies above churn_to {self.churn_to}, so that no "
                "noise would ever be added; exchange them"
            )
        return self


class EulerSampler(SteppedSampler):
    """Euler's method on the probability-flow ODE, in the path's own time."""

    sampler: Literal["euler"] = "euler"


class MidpointSampler(SteppedSampler):
    """The midpoint method on the probability-flow ODE; two evaluations a step."""

    sampler: Literal["midpoint"] = "midpoint"


class HeunSampler(SteppedSampler):
    """Heun's method on the probability-flow ODE; two evaluations a step."""

    sampler: Literal["heun"] = "heun"


class Dopri5Sampler(PathSampler):
    """Dormand and Prince's adaptive method of order 5 on the probability-flow ODE.

    Every sample chooses its own steps, so that it doesn't depend on its batch.
    """

    sampler: Literal["dopri5"] = "dopri5"
    rtol: PositiveFloat = 1e-3
    atol: PositiveFloat = 1e-3


class EulerMaruyamaSampler(SteppedSampler):
    """Euler-Maruyama on the reverse SDE, in the path's own time."""

    sampler: Literal["euler-maruyama"] = "euler-maruyama"


class PredictorCorrectorSampler(SteppedSampler):
    """A step of a predictor, then steps of Langevin dynamics at the level reached."""

    sampler: Literal["predictor-corrector"] = "predictor-corrector"
    predictor: Literal["euler-maruyama", "reverse-diffusion", "ancestral"] = "reverse-diffusion"
    """How a step is taken; `genlab.samplers.predictor_corrector` says what each one is."""
    corrections: Annotated[int, Field(ge=0, le=100)] = 1
    """Langevin steps after each step of the predictor, one evaluation each."""
    snr: PositiveFloat = 0.16
    """Signal-to-noise ratio of a Langevin step, which sets its length; also what it leaves wrong:
    noise grows by about 1 + snr^2 in variance."""


SAMPLERS: dict[str, type[SamplerConfig]] = {
    kind.model_fields["sampler"].default: kind
    for kind in (
        PriorSampler,
        TokenSampler,
        DDPMSampler,
        DDIMSampler,
        DPMSolverSampler,
        EDMSampler,
        EulerSampler,
        MidpointSampler,
        HeunSampler,
        Dopri5Sampler,
        EulerMaruyamaSampler,
        PredictorCorrectorSampler,
    )
}

DETERMINISTIC = ("ddim", "dpm-solver", "edm", "euler", "midpoint", "heun", "dopri5")
"""Samplers that, by their defaults, turn a given noise into one image."""


def settings(config: SamplerConfig) -> dict[str, Any]:
    """What the sampler takes as keyword arguments; the rest is the business of the denoiser."""
    return config.model_dump(exclude={"sampler", "guidance", "precision"})
