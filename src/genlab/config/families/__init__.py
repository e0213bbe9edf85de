"""Hyperparameters and capabilities of the families, one file for each.

A file here is found by its name. It defines one subclass of `FamilyConfig`, imports no torch, and
names the class in `genlab.models` that implements the family. The workflow is planned from these
declarations only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from genlab.config.base import Strict, build, pick
from genlab.registry import class_in, modules_in

Generates = Literal["nothing", "direct", "gaussian"]
Condition = Literal["nothing", "class", "caption"]
"""What a model knows about the image that it draws."""
DensityKind = Literal["exact", "elbo", "iwae", "ode"]
"""Kind of a value of bits/dim: the density itself, the evidence lower bound, the tighter bound of K
importance samples (IWAE-K), or the density of the probability-flow ODE, up to its solver."""

ALIGNED_10: dict[str, Any] = {"sampler": "dpm-solver", "steps": 10, "spacing": "aligned"}
"""DPM-Solver++ with aligned steps, which suit every path and model."""
SDE_ALIGNED_12 = {**ALIGNED_10, "steps": 12, "stochastic": True}
"""The same for the reverse SDE, which needs a few steps more."""


class FamilyConfig(Strict):
    """Hyperparameters of a family, all with defaults; and its capabilities, which are fixed."""

    family: str

    implementation: ClassVar[str]
    """`module:Class` of the model, a `genlab.models.base.Model`."""
    group: ClassVar[str] = "other"
    """Kind of generative model; models of one group have one colour in figures."""
    generates: ClassVar[Generates] = "direct"
    """How samples are drawn: in one pass ('direct'), by a sampler along a Gaussian path
    ('gaussian'), or not at all ('nothing')."""
    reconstructs: ClassVar[bool] = False
    """Whether the model has `reconstruct(images)`; otherwise the league says why not."""
    tempered: ClassVar[bool] = False
    """Whether samples can be drawn at temperatures other than 1."""
    draws_tokens: ClassVar[bool] = False
    """Whether it draws token by token, so that top_k and top_p apply."""
    encodes: ClassVar[bool] = False
    """Whether it has one latent vector per image, so that images can be interpolated."""
    posterior: ClassVar[bool] = False
    """Whether it is a VAE with a Gaussian posterior q(z|x), whose bound can be decomposed."""
    knows_factors: ClassVar[bool] = False
    """Whether it is trained on the factors of images, or on classes if factors are unknown."""

    @property
    def variant(self) -> str:
        """Description beside the model's name in the league: the likelihood, beta, the coupling."""
        return "standard"

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        """Kinds of bits/dim on dequantised pixels; the last one is shown in the league."""
        return ()

    @property
    def needs_whole_batch(self) -> str:
        """Why the loss of a batch is not the mean over its parts; '' if it is."""
        return ""

    @property
    def no_likelihood(self) -> str:
        """Explanation for the league if there are no bits/dim."""
        return "no likelihood"

    @property
    def first_stage_name(self) -> str | None:
        """Name of the model, of this study or a preset, that must be trained before this one."""
        return None

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of the extractors whose features its loss contains; none for most families."""
        return ()

    @property
    def knows_classes(self) -> bool:
        """Whether samples can be drawn of a class, and guided towards it."""
        return False

    @property
    def learns_variance(self) -> bool:
        """Whether its network learns the variance of the reverse steps."""
        return False

    @property
    def reads_captions(self) -> bool:
        """Whether it is trained on a caption of each image."""
        return self.takes_prompts

    @property
    def takes_prompts(self) -> bool:
        """Whether samples can be drawn for a prompt, and guided towards it."""
        return False

    @property
    def condition(self) -> Condition:
        """What samples are conditioned on: a caption, a class, or nothing."""
        if self.reads_captions:
            return "caption"
        return "class" if self.knows_classes else "nothing"

    @property
    def max_steps(self) -> int | None:
        """Largest number of evenly spaced sampling steps; None if there is no limit."""
        return None

    @property
    def default_samplers(self) -> dict[str, dict[str, Any]]:
        """Settings of the samplers of a study without `samplers:`, by the name of their row.

        A name means the same settings in every family.
        """
        samplers: dict[Generates, dict[str, dict[str, Any]]] = {
            "nothing": {},
            "direct": {"prior": {"sampler": "prior"}},
            "gaussian": {"sde-dpm-12": SDE_ALIGNED_12},
        }
        return samplers[self.generates]

    @property
    def shrinks(self) -> int:
        """Factor between the image's side and the side of the latent grid; 1 without a grid."""
        return 1

    def problems(self, channels: int, size: int) -> list[str]:
        """Reasons against training on images [channels, size, size]; empty if there are none.

        For a second stage, `size` is the side of its first stage's latent grid.
        """
        return []

    def first_stage_problems(self, first: FamilyConfig) -> list[str]:
        """Reasons against `first` as the first stage; empty if there are none."""
        return []


def family_names() -> list[str]:
    """Return the names of all families."""
    return [module.rpartition(".")[2] for module in modules_in(__name__)]


def family_class(name: str) -> type[FamilyConfig]:
    """Return the configuration class of the family `name`, which must exist."""
    return class_in(f"{__name__}.{name}", FamilyConfig)


def build_family(values: dict[str, Any], source: str | Path) -> FamilyConfig:
    """Validate a model's hyperparameters by the class that their `family:` names."""
    name = pick({name: name for name in family_names()}, "family", values, source)
    return build(family_class(name), values, source)
