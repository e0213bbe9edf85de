"""Hyperparameters of DALL-E's transformer (`genlab.models.dalle`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.discrete import CodeModelConfig


class DALLEConfig(CodeModelConfig):
    """A causal transformer over the tokens of a caption and then the codes of its image."""

    family: Literal["dalle"] = "dalle"
    image_weight: Annotated[float, Field(ge=0)] = 7.0
    """Weight of the codes' cross entropy, that of the text's being 1."""
    caption_dropout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """How often an image is shown without its caption, so that the model learns both."""

    implementation: ClassVar[str] = "genlab.models.dalle:DALLE"

    @property
    def takes_prompts(self) -> bool:
        return True
