"""Settings of the sampler `tokens`: token by token (`genlab.models.codes`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt

from genlab.config.families import FamilyConfig
from genlab.config.samplers.base import DirectSampler


class TokenSampler(DirectSampler):
    """Draws a sequence of tokens, one after the other, and decodes it."""

    sampler: Literal["tokens"] = "tokens"
    top_k: PositiveInt | None = None
    """Draw each token from the k likeliest ones; null keeps all."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """Draw each token from the smallest set whose probability reaches this share, after temperature
    and top_k; null keeps all."""
    guidance: NonNegativeFloat = 1.0
    """Scale w of classifier-free guidance of the logits: 0 ignores the prompt, 1 is the conditional
    model, larger values exaggerate the prompt. Values other than 1 need a model that takes
    prompts."""

    label: ClassVar[str] = "Tokens"
    place: ClassVar[int] = 20
    explanation: ClassVar[str] = (
        "Draws a sequence of tokens, each given those before it, and decodes them to an image."
    )
    takes_guidance: ClassVar[bool] = True

    def obstacle(self, family: FamilyConfig) -> str | None:
        if family.generates == "direct" and not family.draws_tokens:
            return "the model draws no tokens"
        if self.guidance != 1 and not family.takes_prompts:
            return "the model takes no prompts to guide it"
        return super().obstacle(family)
