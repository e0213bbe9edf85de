"""What the families along a Gaussian path share: DDPM, score SDE, EDM, flow matching."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator

from genlab.config.families import DensityKind, FamilyConfig
from genlab.config.networks import NetworkConfig, UNetConfig

PredictionType = Literal["eps", "x0", "v", "score", "velocity", "edm"]
"""What a network predicts; `genlab.processes.gaussian` defines each."""


class GaussianConfig(FamilyConfig):
    """A network that walks a Gaussian path back to the image."""

    conditional: bool = False
    """Whether the network is told the class of the image, so that it can be asked for one and
    guided towards it."""
    label_dropout: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """How often a network that is told classes or captions is not, so that it learns both."""
    clip: bool = True
    """Clip the predicted x0 to the range of pixels in every sampling step."""
    network: NetworkConfig = UNetConfig()

    generates: ClassVar[Literal["gaussian"]] = "gaussian"
    space: ClassVar[Literal["image", "latent"]] = "image"
    """What walks the path."""

    @property
    def remarks(self) -> list[str]:
        """What `variant` says of any family here, after what is its own."""
        network = self.network
        said = []
        if network.backbone == "dit":
            said = ["DiT with convolutions" if network.convolution else "DiT"]
        return said + (["conditional"] if self.conditional else [])

    @property
    def knows_classes(self) -> bool:
        return self.conditional

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
    """What families share that choose at which times from 0 to 1 they are trained."""

    times: Literal["uniform", "logit-normal"] = "uniform"
    """Which times are trained on: all alike, or mostly the middle ones, where shapes are decided
    ('logit-normal', Esser et al. 2024); the loss is a mean over them, so it moves as well."""
    logit_mean: float = 0.0
    """Of logit-normal times, the mean of log(t / (1 - t)): the larger, the nearer to the noise."""
    logit_std: PositiveFloat = 1.0
    """And its standard deviation: the smaller, the fewer times near the ends."""

    @model_validator(mode="after")
    def _logits_are_drawn(self) -> UnitTimeConfig:
        if self.times == "uniform" and (self.logit_mean, self.logit_std) != (0, 1):
            raise ValueError(
                "logit_mean and logit_std say nothing of uniform times; set times: logit-normal"
            )
        return self
