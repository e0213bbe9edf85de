"""Hyperparameters of the beta-VAE (`genlab.models.beta_vae`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.families import FamilyConfig
from genlab.config.families.vae import VAEOptions


class BetaVAEConfig(VAEOptions, FamilyConfig):
    """A VAE whose KL, or its distance from a capacity, is weighted by beta."""

    family: Literal["beta_vae"] = "beta_vae"
    beta: Annotated[float, Field(ge=0)] = 4.0
    """Weight of |KL - C|; 1 is the ELBO, in which both terms are sums over pixels and latent
    dimensions. With capacity 0 it is Higgins et al.'s beta, otherwise Burgess et al.'s gamma."""
    capacity: Annotated[float, Field(ge=0)] = 0.0
    """C at the end of training, in nats per image; 0 is the plain beta-VAE."""
    capacity_warmup: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of training over which C rises from 0."""

    implementation: ClassVar[str] = "genlab.models.beta_vae:BetaVAE"
    group: ClassVar[str] = "VAE"

    @property
    def variant(self) -> str:
        if self.capacity == 0:
            return f"beta {self.beta:g}, {self.likelihood_name}"
        return f"gamma {self.beta:g}, capacity {self.capacity:g} nats, {self.likelihood_name}"
