"""Hyperparameters of DALL-E's transformer (`genlab.models.dalle`)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from genlab.config.discrete import CodeModelConfig


class DALLEConfig(CodeModelConfig):
    """A causal transformer over the tokens of a caption and then the codes of its image."""

    family: Literal["dalle"] = "dalle"
    image_weight: Annotated[float, Field(ge=0)] = 7.0
    """Weight of the cross entropy of the codes; that of the text is 1."""
    caption_dropout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Probability of leaving out the caption in training, so that the model also learns images
    without captions."""

    implementation: ClassVar[str] = "genlab.models.dalle:DALLE"

    @property
    def default_samplers(self) -> dict[str, dict[str, Any]]:
        guided = {"tokens-w2": {"sampler": "tokens", "guidance": 2, "top_p": 0.9}}
        return super().default_samplers | guided

    @property
    def takes_prompts(self) -> bool:
        return True

    @property
    def needs_whole_batch(self) -> str:
        return "its loss is the mean over the words of whole batches"
