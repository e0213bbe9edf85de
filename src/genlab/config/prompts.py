"""How models that take prompts are measured: whether their images show the prompt."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat, model_validator

from genlab.config.base import Images, Strict


class PromptsConfig(Strict):
    """A study's `prompts:`, for its models that take prompts.

    Prompts are captions of held-out images. If the data set has a split `unseen`, captions of
    combinations that no training image shows are prompts as well.
    """

    prompts: Images = 100
    """Number of prompts with familiar combinations, and as many with unseen ones."""
    candidates: Images = 16
    """Number of images sampled per prompt; CLIP keeps the one that fits the prompt best."""
    guidance: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (1.0, 2.0, 4.0)
    """Scales of classifier-free guidance to measure; 1 is the conditional model itself."""
    samplers: tuple[str, ...] = ()
    """Rows of the study's `samplers:` to choose from; [] takes all. Each model is sampled by the
    first one that fits it, samplers with guidance before those without."""
    shown: Images = 10
    """Number of prompts of each kind in the figures."""
    clip: dict[str, Any] = Field(default_factory=dict)
    """Changes to the training of CLIP, e.g. {images: 100000}."""
    judge: dict[str, Any] = Field(default_factory=dict)
    """Changes to the training of the judge."""

    @model_validator(mode="after")
    def _each_scale_once(self) -> PromptsConfig:
        if len(set(self.guidance)) < len(self.guidance):
            raise ValueError(f"guidance: a scale is listed twice in {list(self.guidance)}")
        return self
