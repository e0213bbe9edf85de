"""One file a family: its hyperparameters, and what the family can do.

A file here is found by its name. It holds one subclass of `FamilyConfig`, imports no torch, and
names the class under `genlab.models` that does the work; the workflow is planned from these
declarations alone.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any, ClassVar, Literal

from genlab.config.base import Strict, build, pick
from genlab.errors import ConfigError

Generates = Literal["nothing", "direct", "gaussian"]
DensityKind = Literal["exact", "elbo", "iwae", "ode"]
"""Kind of a value of bits/dim: the density itself, the evidence lower bound, the tighter bound of K
importance samples (IWAE-K), or the density of the probability-flow ODE, up to its solver."""


class FamilyConfig(Strict):
    """Hyperparameters of a family, all with defaults; and its capabilities, which are fixed."""

    family: str

    implementation: ClassVar[str]
    """`module:Class` of the model, a `genlab.models.base.Model`."""
    generates: ClassVar[Generates] = "direct"
    """How it draws: in one pass ('direct'), by a sampler along a Gaussian path ('gaussian')."""
    reconstructs: ClassVar[bool] = False
    """Whether it has `reconstruct(images)`; otherwise the league says why there is no MSE."""
    tempered: ClassVar[bool] = False
    """Whether it can be drawn from at another temperature than 1."""
    draws_tokens: ClassVar[bool] = False
    """Whether it draws one token after the other, so that unlikely ones can be left out."""
    encodes: ClassVar[bool] = False
    """Whether it has a latent vector, so that interpolations can be drawn."""
    posterior: ClassVar[bool] = False
    """Whether it is a VAE with a Gaussian posterior q(z|x), whose bound can be taken apart."""
    knows_factors: ClassVar[bool] = False
    """Whether it is given the factors of the images, or their classes where none are known."""

    @property
    def variant(self) -> str:
        """What the league says beside the model's name: the likelihood, beta, the coupling ..."""
        return "standard"

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        """The kinds of bits/dim it has on dequantised pixels; the last one stands in the league."""
        return ()

    @property
    def no_likelihood(self) -> str:
        """Why there are no bits/dim, where there are none."""
        return "no likelihood"

    @property
    def first_stage_name(self) -> str | None:
        """The model, of this study or a preset, that has to be trained before this one."""
        return None

    @property
    def knows_classes(self) -> bool:
        """Whether it can be asked for images of a class, and guided towards it."""
        return False

    @property
    def learns_variance(self) -> bool:
        """Whether its network learns the variance of the reverse steps."""
        return False

    @property
    def reads_captions(self) -> bool:
        """Whether it is given a caption with each image."""
        return self.takes_prompts

    @property
    def takes_prompts(self) -> bool:
        """Whether it can be asked for images by a sentence, and guided towards it."""
        return False

    @property
    def max_steps(self) -> int | None:
        """The most evenly spaced steps along the path; None where there is no bound."""
        return None

    @property
    def shrinks(self) -> int:
        """How many times smaller the side is that a second stage finds; of latents, the grid's."""
        return 1

    def problems(self, channels: int, size: int) -> list[str]:
        """What stands against training on images [channels, size, size]; empty if nothing.

        Of a second stage, `size` is the side that it finds in its first one.
        """
        return []

    def first_stage_problems(self, first: FamilyConfig) -> list[str]:
        """What stands against `first` as the first stage; empty if nothing."""
        return []


def family_names() -> list[str]:
    """The names of all families."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))


def family_class(name: str) -> type[FamilyConfig]:
    """The configuration class of the family `name`, which exists."""
    module = importlib.import_module(f"{__name__}.{name}")
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, FamilyConfig)
            and value.__module__ == module.__name__  # not one that it imports
        ):
            return value
    raise ConfigError(f"{module.__file__}: holds no subclass of FamilyConfig")


def build_family(values: dict[str, Any], source: str | Path) -> FamilyConfig:
    """Validate a model's hyperparameters by the class that their `family:` names."""
    name = pick({name: name for name in family_names()}, "family", values, source)
    return build(family_class(name), values, source)
