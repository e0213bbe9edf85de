"""Hyperparameters of the prior over a VQ-VAE's codes (`genlab.models.code_prior`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from genlab.config.families import FamilyConfig, Likelihood
from genlab.config.families.vqvae import VQVAEConfig


class CodePriorConfig(FamilyConfig):
    """A causal transformer over the codes of a trained VQ-VAE."""

    family: Literal["code_prior"] = "code_prior"
    first_stage: str = "vqvae"
    """The model whose codes are learned, of family vqvae."""
    width: PositiveInt = 64
    """Channels of the transformer."""
    layers: PositiveInt = 3
    heads: PositiveInt = 4
    """Of the attention; they share the width evenly."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    implementation: ClassVar[str] = "genlab.models.code_prior:CodePrior"
    generates: ClassVar[Literal["direct"]] = "direct"
    tempered: ClassVar[bool] = True
    reconstructs: ClassVar[bool] = False

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> CodePriorConfig:
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} don't divide the width {self.width}")
        return self

    @property
    def variant(self) -> str:
        return f"codes of {self.first_stage}"

    @property
    def likelihoods(self) -> tuple[Likelihood, ...]:
        return ("elbo",)

    @property
    def first_stage_name(self) -> str:
        return self.first_stage

    def first_stage_problems(self, first: FamilyConfig) -> list[str]:
        if not isinstance(first, VQVAEConfig):
            return [
                f"first_stage: '{self.first_stage}' is of family {first.family}, which has no "
                "codes; name a model of family vqvae"
            ]
        return []
