"""Settings that the families on a Gaussian path share: DDPM, score SDE, EDM, flow matching."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator

from genlab.config.families import ALIGNED_10, DensityKind, FamilyConfig
from genlab.config.networks import NetworkConfig, UNetConfig

PredictionType = Literal["eps", "x0", "v", "score", "velocity", "edm"]
"""What a network predicts; `genlab.processes.gaussian` defines each."""


class GaussianConfig(FamilyConfig):
    """A family whose network denoises along a Gaussian path."""

    group: ClassVar[str] = "pixel diffusion"
    conditional: bool = False
    """Condition the network on the class of the image, so that samples can be drawn of a class and
    guided towards it."""
    label_dropout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Probability of leaving out the class or caption in training, so that the network also learns
    the unconditional model."""
    clip: bool = True
    """Clip predictions of x0 to the range of pixels: in sampling, in the likelihood by the ODE, and
    in the loss at the ends of the range."""
    network: NetworkConfig = UNetConfig()

    generates: ClassVar[Literal["gaussian"]] = "gaussian"
    space: ClassVar[Literal["image", "latent"]] = "image"
    """Space of x_0: pixels or latents."""

    @property
    def remarks(self) -> list[str]:
        """The end of `variant`, which all families on a Gaussian path share."""
        network = self.network
        remarks = []
        if network.backbone == "dit":
            remarks = ["DiT with convolutions" if network.convolution else "DiT"]
        return remarks + (["conditional"] if self.conditional else [])

    @property
    def knows_classes(self) -> bool:
        return self.conditional

    @property
    def default_samplers(self) -> dict[str, dict[str, Any]]:
        guided = {"dpm-10-w2": {**ALIGNED_10, "guidance": 2}}
        guidable = self.knows_classes or self.takes_prompts
        return super().default_samplers | (guided if guidable else {})

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        return ("ode",)

    def problems(self, channels: int, size: int) -> list[str]:
        divisor = self.network.divisor
        if size % divisor:
            return [
                f"network: the {self.space} side {size} must be divisible by {divisor} "
                f"({self.network.divisor_of}); change it"
            ]
        return []


class UnitTimeConfig(GaussianConfig):
    """Settings of families that choose the distribution of training times on 0..1."""

    times: Literal["uniform", "logit-normal"] = "uniform"
    """Distribution of training times: uniform, or mostly from the middle, where shapes are decided
    ('logit-normal', Esser et al. 2024). The loss is a mean over these times, so it changes too."""
    logit_mean: float = 0.0
    """Mean of log(t / (1 - t)) of logit-normal times; larger means more noise."""
    logit_std: PositiveFloat = 1.0
    """Standard deviation of log(t / (1 - t)); smaller means fewer times near 0 and 1."""

    @model_validator(mode="after")
    def _logit_settings_have_an_effect(self) -> UnitTimeConfig:
        if self.times == "uniform" and (self.logit_mean, self.logit_std) != (0, 1):
            raise ValueError(
                "logit_mean and logit_std have no effect on uniform times; set times: logit-normal"
            )
        return self
