"""Hyperparameters of flow matching (`genlab.models.flow_matching`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from genlab.config.base import Steps
from genlab.config.families import FamilyConfig
from genlab.config.gaussian import UnitTimeConfig


class FlowMatchingConfig(UnitTimeConfig):
    """A network that predicts the velocity of straight lines between noise and image."""

    family: Literal["flow_matching"] = "flow_matching"
    pairing: Literal["independent", "ot"] = "independent"
    """Pairing of images and noise: independent, or by optimal transport within a batch."""
    first_stage: str | None = None
    """Reflow: name of the model whose pairs of noise and image are straightened; null for none."""
    reflow_steps: Steps = 20
    """Heun steps from noise to image for each of these pairs, two network evaluations each."""

    implementation: ClassVar[str] = "genlab.models.flow_matching:FlowMatching"
    group: ClassVar[str] = "flow matching"

    @model_validator(mode="after")
    def _pairs_fit_together(self) -> FlowMatchingConfig:
        if self.first_stage and self.pairing == "ot":
            raise ValueError("pairing: ot has no effect with first_stage, which provides the pairs")
        if self.pairing == "ot" and self.conditional:
            raise ValueError(
                "pairing: ot makes the noise of an image depend on its class, but samples of a "
                "class start from any noise; remove conditional or pairing: ot"
            )
        if self.first_stage and self.conditional:
            raise ValueError(
                "conditional: true is not supported with first_stage (reflow); remove one of them"
            )
        return self

    @property
    def variant(self) -> str:
        parts = ["linear path"]
        parts += ["OT pairing"] if self.pairing == "ot" else []
        parts += [f"reflow of {self.first_stage}"] if self.first_stage else []
        return ", ".join(parts + self.remarks)

    @property
    def needs_whole_batch(self) -> str:
        return "pairing: ot pairs whole batches" if self.pairing == "ot" else ""

    @property
    def first_stage_name(self) -> str | None:
        return self.first_stage

    def first_stage_problems(self, first: FamilyConfig) -> list[str]:
        if not isinstance(first, FlowMatchingConfig):
            return [
                f"first_stage: '{self.first_stage}' is of family {first.family}, which has no "
                "velocity to straighten; name a model of family flow_matching"
            ]
        if first.first_stage:
            return [
                f"first_stage: '{self.first_stage}' builds on '{first.first_stage}' itself; reflow "
                "needs a flow that was trained on images"
            ]
        if first.conditional:
            return [
                f"first_stage: '{self.first_stage}' is conditional; reflow does not support "
                "conditional models"
            ]
        return []
