"""Hyperparameters of denoising diffusion (`genlab.models.ddpm`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator

from genlab.config.families import DensityKind
from genlab.config.gaussian import UnitTimeConfig


class DDPMConfig(UnitTimeConfig):
    """A denoising diffusion probabilistic model in discrete time."""

    family: Literal["ddpm"] = "ddpm"
    schedule: Literal["linear", "cosine", "sigmoid"] = "cosine"
    """Noise schedule: 'linear' (Ho et al. 2020), 'cosine' (Nichol & Dhariwal 2021), or 'sigmoid'
    (Jabri et al. 2022)."""
    timesteps: Annotated[int, Field(ge=2, le=100_000)] = 1000
    """T, the number of noise levels."""
    zero_terminal_snr: bool = False
    """Rescale the schedule so that no image is left at the last timestep."""
    prediction: Literal["eps", "x0", "v"] = "v"
    """What the network predicts: the noise, the image, or v = alpha eps - sigma x0."""
    weighting: Literal["none", "min-snr"] = "none"
    """'min-snr' weights the error of x0 by min(SNR, gamma) for every prediction type, so that the
    easy times near the image do not dominate (Hang et al. 2023)."""
    gamma: PositiveFloat = 5.0
    """Largest weight of min-snr."""
    learned_variance: bool = False
    """Also learn the variance of the reverse steps, by the variational bound ('hybrid')."""

    implementation: ClassVar[str] = "genlab.models.ddpm:DDPM"

    @model_validator(mode="after")
    def _prediction_determines_x0(self) -> DDPMConfig:
        if self.zero_terminal_snr and self.prediction == "eps":
            raise ValueError(
                "prediction: eps can't be combined with zero_terminal_snr: the last x_t is pure "
                "noise, so x0 would be 0/0; predict v or x0"
            )
        return self

    @property
    def variant(self) -> str:
        parts = [f"{self.prediction}-prediction", f"{self.schedule} schedule"]
        parts += ["zero terminal SNR"] if self.zero_terminal_snr else []
        parts += ["min-SNR weighting"] if self.weighting == "min-snr" else []
        parts += ["learned variance"] if self.learned_variance else []
        return ", ".join(parts + self.remarks)

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        return ("elbo", "ode")

    @property
    def learns_variance(self) -> bool:
        return self.learned_variance

    @property
    def max_steps(self) -> int:
        return self.timesteps
