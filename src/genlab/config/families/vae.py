"""Hyperparameters of the variational autoencoder (`genlab.models.vae`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator

from genlab.config.base import Strict, Width
from genlab.config.families import DensityKind, FamilyConfig

DecoderLikelihood = Literal["bernoulli", "gaussian-fixed", "gaussian-learned", "logistic"]


class VAEOptions(Strict):
    """Settings that all VAEs share: p(x|z) and the size of the networks."""

    likelihood: DecoderLikelihood = "gaussian-learned"
    """p(x|z): 'bernoulli' (grey images in [0, 1] as probabilities), 'gaussian-fixed' with the
    variance `sigma` squared, 'gaussian-learned' with one learned variance for all pixels, or
    'logistic', discretised to the 256 grey values. Values of the loss and the bounds depend on it,
    so it is part of the variant."""
    sigma: PositiveFloat | None = None
    """Standard deviation of 'gaussian-fixed', where white is 1; null for the other likelihoods."""
    binarise: Literal["none", "dynamic"] = "none"
    """Binarisation for 'bernoulli': 'dynamic' draws a new black and white image in every step, with
    grey values as probabilities of white; 'none' uses grey values directly."""
    latent: Width = 16
    """Dimensions of z."""
    channels: Width = 32
    """Channels of the convolutions, at a quarter of the image's side."""
    hidden: Width = 256
    """Width of the fully connected layers before and after z."""

    reconstructs: ClassVar[bool] = True
    encodes: ClassVar[bool] = True
    posterior: ClassVar[bool] = True

    @model_validator(mode="after")
    def _likelihood_fits_sigma_and_binarise(self) -> VAEOptions:
        if (self.likelihood == "gaussian-fixed") != (self.sigma is not None):
            raise ValueError(
                "sigma: applies to 'likelihood: gaussian-fixed' only, and is required there; got "
                f"'{self.likelihood}' with sigma {self.sigma}"
            )
        if self.binarise == "dynamic" and self.likelihood != "bernoulli":
            raise ValueError(
                f"binarise: dynamic needs 'likelihood: bernoulli', not '{self.likelihood}'; use "
                "'binarise: none'"
            )
        return self

    @property
    def likelihood_name(self) -> str:
        """p(x|z) in words; distortions are comparable between models of the same name."""
        name = {
            "bernoulli": "Bernoulli",
            "gaussian-fixed": f"Gaussian, fixed sigma {self.sigma}",
            "gaussian-learned": "Gaussian, learned variance",
            "logistic": "discretised logistic",
        }[self.likelihood]
        return name + (", dynamic binarisation" if self.binarise == "dynamic" else "")

    @property
    def variant(self) -> str:
        return self.likelihood_name

    @property
    def likelihoods(self) -> tuple[DensityKind, ...]:
        return () if self.likelihood == "bernoulli" else ("elbo", "iwae")

    @property
    def no_likelihood(self) -> str:
        return "Bernoulli: binary pixels"

    def problems(self, channels: int, size: int) -> list[str]:
        problems = []
        if size % 4:
            problems.append(f"the image side must be divisible by 4, but it is {size}")
        if self.likelihood == "bernoulli" and channels != 1:
            problems.append(
                f"likelihood: bernoulli needs grey images, but these have {channels} channels; "
                "use likelihood: gaussian-learned or logistic"
            )
        return problems


class VAEConfig(VAEOptions, FamilyConfig):
    """A convolutional VAE with a Gaussian posterior and a standard normal prior."""

    family: Literal["vae"] = "vae"
    kl_warmup: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of training over which the weight of the KL rises from 0 to 1."""
    free_bits: Annotated[float, Field(ge=0)] = 0.0
    """KL of a latent dimension, in nats, below which it is not penalised."""

    implementation: ClassVar[str] = "genlab.models.vae:VAE"
    group: ClassVar[str] = "VAE"

    @property
    def needs_whole_batch(self) -> str:
        return "free_bits limits the mean over whole batches" if self.free_bits else ""
