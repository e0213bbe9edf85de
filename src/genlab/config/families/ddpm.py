"""Hyperparameters of denoising diffusion (`genlab.models.ddpm`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.families import FamilyConfig
from genlab.config.networks import UNetConfig


class DDPMConfig(FamilyConfig):
    """A denoising diffusion probabilistic model in discrete time."""

    family: Literal["ddpm"] = "ddpm"
    schedule: Literal["linear", "cosine"] = "cosine"
    """How noise grows with time: 'linear' (Ho et al. 2020) or 'cosine' (Nichol & Dhariwal 2021)."""
    timesteps: Annotated[int, Field(ge=2)] = 1000
    prediction: Literal["eps", "v"] = "v"
    """What the network predicts: the noise, or v = alpha eps - sigma x0 (Salimans & Ho 2022)."""
    times: Literal["uniform", "logit-normal"] = "uniform"
    """Which times are trained on: all alike, or mostly the middle ones, where shapes are decided
    ('logit-normal', Esser et al. 2024); the loss is a mean over them, so it moves as well."""
    clip: bool = True
    """Clip the predicted x0 to the range of pixels in every sampling step."""
    network: UNetConfig = UNetConfig()

    implementation: ClassVar[str] = "genlab.models.ddpm:DDPM"
    generates: ClassVar[Literal["gaussian"]] = "gaussian"

    @property
    def variant(self) -> str:
        return f"{self.prediction}-prediction, {self.schedule} schedule"

    @property
    def no_likelihood(self) -> str:
        return "bound not implemented"

    @property
    def max_steps(self) -> int:
        return self.timesteps

    def problems(self, channels: int, size: int) -> list[str]:
        found = []
        if size % self.network.divisor:
            found.append(
                f"network: the image side {size} must be divisible by {self.network.divisor} "
                "(patch x 2 for every level after the first); change multipliers or patch"
            )
        return found
