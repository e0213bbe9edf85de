"""Hyperparameters of the prior over an autoencoder's codes (`genlab.models.code_prior`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.discrete import CodeModelConfig


class CodePriorConfig(CodeModelConfig):
    """A causal transformer over codes alone."""

    family: Literal["code_prior"] = "code_prior"

    implementation: ClassVar[str] = "genlab.models.code_prior:CodePrior"
