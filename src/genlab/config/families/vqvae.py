"""Hyperparameters of the vector-quantised autoencoder (`genlab.models.vqvae`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.discrete import DiscreteConfig


class VQVAEConfig(DiscreteConfig):
    """An autoencoder whose latent vectors are replaced by the nearest ones of a codebook."""

    family: Literal["vqvae"] = "vqvae"
    commitment: Annotated[float, Field(ge=0)] = 0.25
    """Weight of |z - sg(e)|^2, which keeps the encoder's vectors near their codes."""
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Decay rate of the codebook's moving averages."""
    restart_below: Annotated[float, Field(ge=0)] = 2.0
    """A code to which fewer vectors of a batch are assigned, in the moving average, is replaced by
    a random vector; 0 replaces none."""

    implementation: ClassVar[str] = "genlab.models.vqvae:VQVAE"

    @property
    def needs_whole_batch(self) -> str:
        return "its codes follow the vectors of whole batches"
