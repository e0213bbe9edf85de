"""Hyperparameters of score-based diffusion in continuous time (`genlab.models.score_sde`)."""

from __future__ import annotations

from typing import ClassVar, Literal

from genlab.config.gaussian import GaussianConfig


class ScoreSDEConfig(GaussianConfig):
    """A stochastic differential equation whose reverse a network's score drives."""

    family: Literal["score_sde"] = "score_sde"
    sde: Literal["vp", "subvp", "ve"] = "vp"
    """Which SDE adds the noise: variance preserving, its smaller sibling, variance exploding."""
    prediction: Literal["eps", "edm"] = "eps"
    """What the network says of the score: the noise, as in the paper, or EDM's F, from which the
    image follows as exactly at high noise as at low."""

    implementation: ClassVar[str] = "genlab.models.score_sde:ScoreSDE"

    @property
    def variant(self) -> str:
        name = {"vp": "VP", "subvp": "sub-VP", "ve": "VE"}[self.sde]
        said = ["EDM's prediction"] if self.prediction == "edm" else []
        return ", ".join([f"{name} SDE", *said, *self.remarks])
