"""Hyperparameters of score-based diffusion in continuous time (`genlab.models.score_sde`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.gaussian import GaussianConfig


class ScoreSDEConfig(GaussianConfig):
    """A stochastic differential equation that is reversed by a learned score."""

    family: Literal["score_sde"] = "score_sde"
    sde: Literal["vp", "subvp", "ve"] = "vp"
    """SDE that adds the noise: variance preserving, sub-VP, or variance exploding."""
    prediction: Literal["eps", "edm"] = "eps"
    """Prediction type: the noise, as in the paper, or EDM's F, which determines the image equally
    well at all noise levels."""

    implementation: ClassVar[str] = "genlab.models.score_sde:ScoreSDE"

    @property
    def variant(self) -> str:
        name = {"vp": "VP", "subvp": "sub-VP", "ve": "VE"}[self.sde]
        prediction = ["EDM's prediction"] if self.prediction == "edm" else []
        return ", ".join([f"{name} SDE", *prediction, *self.remarks])
