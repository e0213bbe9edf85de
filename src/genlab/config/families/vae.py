"""Hyperparameters of the variational autoencoder (`genlab.models.vae`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveFloat, model_validator

from genlab.config.base import Strict, Width
from genlab.config.families import DensityKind, FamilyConfig

DecoderLikelihood = Literal["bernoulli", "gaussian-fixed", "gaussian-learned", "logistic"]


class VAEOptions(Strict):
    """What all VAEs share: p(x|z), the size of the networks, and what can be asked of them."""

    likelihood: DecoderLikelihood = "gaussian-learned"
    """p(x|z): 'bernoulli' (grey images in [0, 1] as probabilities), 'gaussian-fixed' with the
    variance `sigma` squared, 'gaussian-learned' with one learned variance for all pixels, or
    'logistic', discretised to the 256 grey values. It changes every figure, so it is named."""
    sigma: PositiveFloat | None = None
    """Standard deviation of 'gaussian-fixed', where white is 1; of the others null."""
    binarise: Literal["none", "dynamic"] = "none"
    """Of 'bernoulli': 'dynamic' makes an image black and white anew each time it is seen, a pixel
    white with the probability that is its grey value; 'none' takes grey values as they are."""
    latent: Width = 16
    """Dimensions of z."""
    channels: Width = 32
    """Channels of the convolutions, on a grid of a quarter of the side."""
    hidden: Width = 256
    """Width of the fully connected layer on either side of z."""

    reconstructs: ClassVar[bool] = True
    encodes: ClassVar[bool] = True
    posterior: ClassVar[bool] = True

    @model_validator(mode="after")
    def _likelihood_has_its_own(self) -> VAEOptions:
        if (self.likelihood == "gaussian-fixed") != (self.sigma is not None):
            raise ValueError(
                "sigma: is the standard deviation of 'likelihood: gaussian-fixed', which needs it; "
                f"'{self.likelihood}' with sigma {self.sigma} is neither with nor without"
            )
        if self.binarise == "dynamic" and self.likelihood != "bernoulli":
            raise ValueError(
                f"binarise: black and white images need 'likelihood: bernoulli', not "
                f"'{self.likelihood}'; use 'binarise: none'"
            )
        return self

    @property
    def likelihood_name(self) -> str:
        """p(x|z) in words; distortions compare between models of one name."""
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
        found = []
        if size % 4:
            found.append(f"the image side must be divisible by 4, but it is {size}")
        if self.likelihood == "bernoulli" and channels != 1:
            found.append(
                f"likelihood: bernoulli needs grey images, but these have {channels} channels; "
                "use likelihood: gaussian-learned or logistic"
            )
        return found


class VAEConfig(VAEOptions, FamilyConfig):
    """A convolutional VAE with a Gaussian posterior and a standard normal prior."""

    family: Literal["vae"] = "vae"
    kl_warmup: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training over which the KL's weight rises from 0 to 1."""
    free_bits: Annotated[float, Field(ge=0)] = 0.0
    """Nats for each latent dimension that cost nothing more when they are used."""

    implementation: ClassVar[str] = "genlab.models.vae:VAE"
