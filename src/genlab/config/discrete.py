"""Settings that discrete autoencoders share, and those that models of their codes share."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from genlab.config.autoencoders import AutoencoderConfig
from genlab.config.base import Depth, Width
from genlab.config.families import DensityKind, FamilyConfig
from genlab.config.networks import check_heads


class DiscreteConfig(AutoencoderConfig):
    """An autoencoder with a grid of codes, each a vector (`genlab.models.discrete`)."""

    codes: Annotated[Width, Field(ge=2)] = 128
    """K, the number of vectors in the codebook."""

    @property
    def variant(self) -> str:
        return f"{self.codes} codes, side / {2**self.levels}, {self.likelihood}"

    @property
    def no_likelihood(self) -> str:
        return "no prior over its codes"


class CodeModelConfig(FamilyConfig):
    """A causal transformer over the codes of a trained autoencoder (`genlab.models.codes`)."""

    group: ClassVar[str] = "code transformer"

    first_stage: str = "vqvae"
    """Name of the model whose codes are learned, of family vqvae or dvae."""
    width: Width = 64
    """Channels of the transformer."""
    layers: Depth = 3
    """Number of transformer blocks."""
    heads: Width = 4
    """Number of attention heads; must divide `width`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout rate of the embeddings and of each branch."""

    generates: ClassVar[Literal["direct"]] = "direct"
    tempered: ClassVar[bool] = True
    draws_tokens: ClassVar[bool] = True

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> CodeModelConfig:
        check_heads(self.width, self.heads)
        return self

    @property
    def variant(self) -> str:
        return f"codes of {self.first_stage}"

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        return ("elbo",)

    @property
    def first_stage_name(self) -> str:
        return self.first_stage

    def first_stage_problems(self, first: FamilyConfig) -> list[str]:
        if not isinstance(first, DiscreteConfig):
            return [
                f"first_stage: '{self.first_stage}' is of family {first.family}, which has no "
                "codes; name a model of family vqvae or dvae"
            ]
        return []
