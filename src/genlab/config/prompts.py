"""How it is measured whether models that take prompts draw what they are asked for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat, model_validator

from genlab.config.base import Images, Strict


class PromptsConfig(Strict):
    """A study's `prompts:`; it is of no account where no model takes prompts.

    Prompts are captions of held-out images; of combinations that no training image shows as well,
    where the data set keeps such.
    """

    prompts: Images = 100
    """Prompts of each kind, seen and unseen combinations."""
    candidates: Images = 16
    """Pictures drawn for each prompt, of which CLIP keeps the one that fits it best."""
    guidance: Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)] = (1.0, 2.0, 4.0)
    """Scales of classifier-free guidance to draw at; 1 is the conditional model itself."""
    samplers: tuple[str, ...] = ()
    """Rows of the study's `samplers:`; each model is drawn from by the first that fits it, at
    these scales, one that knows guidance before any other. None named takes all."""
    shown: Images = 8
    """Prompts of each kind in the grids."""
    clip: dict[str, Any] = Field(default_factory=dict)
    """Overrides of CLIP's training, e.g. {images: 100000}."""
    judge: dict[str, Any] = Field(default_factory=dict)
    """Overrides of the judge's training."""

    @model_validator(mode="after")
    def _each_scale_once(self) -> PromptsConfig:
        if len(set(self.guidance)) < len(self.guidance):
            raise ValueError(f"guidance: a scale stands twice among {self.guidance}")
        return self
