"""Hyperparameters of the discrete VAE (`genlab.models.dvae`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from genlab.config.discrete import DiscreteConfig

Share = Annotated[float, Field(ge=0, le=1)]


class DVAEConfig(DiscreteConfig):
    """A VAE whose latent is a grid of categorical variables, trained by the Gumbel-softmax."""

    family: Literal["dvae"] = "dvae"
    kl_weight: Annotated[float, Field(ge=0)] = 6.6
    """Largest beta, the weight of KL(q || uniform); 1 is the ELBO."""
    kl_warmup: Share = 0.1
    """Share of training over which beta rises from 0."""
    tau: Annotated[float, Field(gt=0, le=1)] = 1 / 16
    """Lowest temperature of the Gumbel-softmax; it starts at 1."""
    tau_decay: Share = 0.8
    """Share of training over which the temperature falls."""

    implementation: ClassVar[str] = "genlab.models.dvae:DVAE"
