"""Hyperparameters of flow matching (`genlab.models.flow_matching`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from genlab.config.base import Steps
from genlab.config.families import FamilyConfig
from genlab.config.gaussian import UnitTimeConfig


class FlowMatchingConfig(UnitTimeConfig):
    """The velocity of straight lines between noise and image."""

    family: Literal["flow_matching"] = "flow_matching"
    pairing: Literal["independent", "ot"] = "independent"
    """Which noise an image is joined with: any, or that of the batch's optimal transport."""
    clip: bool = False
    first_stage: str | None = None
    """Reflow: the model whose own pairs of noise and image are straightened; null for none."""
    reflow_steps: Steps = 20
    """Heun steps from noise to image behind each of those pairs, two network evaluations each."""

    implementation: ClassVar[str] = "genlab.models.flow_matching:FlowMatching"

    @model_validator(mode="after")
    def _pairs_are_given(self) -> FlowMatchingConfig:
        if self.first_stage and self.pairing == "ot":
            raise ValueError("pairing: ot has nothing to pair where first_stage gives the pairs")
        if self.pairing == "ot" and self.conditional:
            raise ValueError(
                "pairing: ot makes the noise of an image depend on its class, which samples of a "
                "class don't start from; leave conditional or ot out"
            )
        if self.first_stage and self.conditional:
            raise ValueError("conditional: true is not there for reflow; leave first_stage out")
        return self

    @property
    def variant(self) -> str:
        said = ["linear path"]
        said += ["OT pairing"] if self.pairing == "ot" else []
        said += [f"reflow of {self.first_stage}"] if self.first_stage else []
        return ", ".join(said + self.remarks)

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
                "straightens a flow that was trained on images"
            ]
        if first.conditional:
            return [f"first_stage: '{self.first_stage}' is conditional, which reflow knows not"]
        return []
