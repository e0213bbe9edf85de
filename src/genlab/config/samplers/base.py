"""What every sampler declares: its settings, the models that it draws from, and facts about it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat

from genlab.config.base import Precision, Steps, Strict
from genlab.config.families import FamilyConfig, Generates

PathSpacing = Literal["uniform", "quadratic", "karras", "log-snr"]
"""How steps are placed along any path; `genlab.processes.spacing.step_times` defines each."""
Spacing = Literal[PathSpacing, "aligned"]
"""How steps are placed; `aligned` is by the model's own error (`aligned_times` there)."""


class SamplerConfig(Strict):
    """Settings of a sampler; one row of the league each."""

    sampler: str

    label: ClassVar[str]
    """Name of the sampler in figures and tables."""
    place: ClassVar[int] = 1000
    """Position among the samplers where several are listed; lower comes first."""
    explanation: ClassVar[str]
    """One or two sentences for a reader of the report."""
    works_on: ClassVar[Generates] = "gaussian"
    """The kind of model that the sampler draws from."""
    deterministic: ClassVar[bool] = False
    """Whether, with its default settings, the starting noise alone decides the image."""
    takes_steps: ClassVar[bool] = False
    """Whether the number of steps is a setting."""
    takes_guidance: ClassVar[bool] = False
    """Whether the guidance scale is a setting."""

    def obstacle(self, family: FamilyConfig) -> str | None:
        """Return why the sampler can't draw from a model of `family`; None if it can."""
        if self.works_on == family.generates:
            return None
        ways = {
            "direct": "in one pass",
            "gaussian": "along a Gaussian path",
            "nothing": "nothing at all",
        }
        return f"it draws {ways[self.works_on]}, the model {ways[family.generates]}"

    def fits(self, family: FamilyConfig) -> bool:
        """Whether the sampler can draw from a model of `family`."""
        return self.obstacle(family) is None


class DirectSampler(SamplerConfig):
    """A sampler of models that draw in one pass, or one token after the other."""

    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Below 1 samples are closer to the mode: cleaner, less varied. The standard deviation of a
    Gaussian prior is multiplied by it; the logits of a transformer are divided by it. Values other
    than 1 need a family that supports a temperature."""

    works_on: ClassVar[Generates] = "direct"

    def obstacle(self, family: FamilyConfig) -> str | None:
        if self.temperature != 1 and not family.tempered:
            return "the model supports no temperature other than 1"
        return super().obstacle(family)


class PathSampler(SamplerConfig):
    """A sampler that follows a Gaussian path from noise to image."""

    guidance: NonNegativeFloat = 1.0
    """Scale w of classifier-free guidance: 0 ignores the class or prompt, 1 is the conditional
    model, larger values exaggerate the condition. Values other than 1 need a model that knows
    classes or takes prompts; values other than 0 and 1 double the network evaluations."""

    takes_guidance: ClassVar[bool] = True

    def obstacle(self, family: FamilyConfig) -> str | None:
        if self.guidance != 1 and not (family.knows_classes or family.takes_prompts):
            return (
                "the model has neither classes nor prompts to guide it (conditional: true, or "
                "text: true where the family has it)"
            )
        return super().obstacle(family)


class SteppedSampler(PathSampler):
    """A sampler that takes a fixed number of steps."""

    steps: Steps = 50
    """Number of steps from noise to image."""
    spacing: Spacing = "uniform"
    """How the steps are placed along the path."""
    precision: Precision = "auto"
    """Precision of the network; the state of the sampler is float64 in any case. Adaptive samplers
    have no such setting: their error estimate would see the rounding of bfloat16."""

    takes_steps: ClassVar[bool] = True
    evaluations_per_step: ClassVar[int] = 1
    """Network evaluations of every step but the last one, which takes one."""

    @property
    def evaluations(self) -> int:
        """Network evaluations of one sample, without guidance."""
        return self.evaluations_per_step * (self.steps - 1) + 1


def settings(config: SamplerConfig) -> dict[str, Any]:
    """Return the keyword arguments of the sampler's function.

    `guidance` and `precision` are left out: they belong to the denoiser.
    """
    return config.model_dump(exclude={"sampler", "guidance", "precision"})
