"""Hyperparameters of EDM (`genlab.models.edm`)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import PositiveFloat

from genlab.config.gaussian import GaussianConfig


class EDMConfig(GaussianConfig):
    """A preconditioned denoiser over all noise levels."""

    family: Literal["edm"] = "edm"
    log_mean: float = -1.2
    """P_mean: training levels are ln(sigma) ~ N(log_mean, log_std^2)."""
    log_std: PositiveFloat = 1.2
    """P_std, the standard deviation of ln(sigma)."""

    implementation: ClassVar[str] = "genlab.models.edm:EDM"

    @property
    def default_samplers(self) -> dict[str, dict[str, Any]]:
        # The paper's sampler of CIFAR-10: 35 network evaluations.
        return super().default_samplers | {"edm-18": {"sampler": "edm", "steps": 18}}

    @property
    def variant(self) -> str:
        return ", ".join(["preconditioned", *self.remarks])
