"""What a model can do besides learning, stated as protocols.

A family declares its capabilities in its configuration class (`genlab.config.families`), and its
model has the methods of the protocols here. Images are float32 [B, C, H, W] on [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from torch import Tensor

from genlab.config.families import DensityKind

if TYPE_CHECKING:  # so that no other family depends on the code of Gaussian paths
    from genlab.processes.gaussian import Denoiser
    from genlab.processes.noise import SampleNoise


@dataclass(frozen=True)
class DrawOptions:
    """Options of `Generates.generate`; a family supports those that its configuration declares.

    Attributes:
        tokens: prompts int64 [B, L]; None draws without a prompt.
        temperature: factor of a Gaussian prior's standard deviation, divisor of logits; below 1
            samples are closer to the mode.
        top_k, top_p: restrict each token to the likeliest ones, as `keep_likeliest`.
        guidance: w of classifier-free guidance: 0 ignores the prompt, 1 is the conditional model,
            larger values exaggerate the prompt.
    """

    tokens: Tensor | None = None
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    guidance: float = 1.0


DEFAULT_OPTIONS = DrawOptions()


@runtime_checkable
class Generates(Protocol):
    """Draws images in one pass (`generates = "direct"`).

    With `tempered = True` or prompts, `generate` also takes `options: DrawOptions`.
    """

    def generate(self, noise: SampleNoise) -> Tensor:
        """Return len(noise) images [B, C, H, W] on [0, 1]."""
        ...


@runtime_checkable
class GeneratesWithOptions(Protocol):
    """Draws images in one pass, with options (`tempered = True`, or prompts)."""

    def generate(self, noise: SampleNoise, options: DrawOptions = DEFAULT_OPTIONS) -> Tensor:
        """Return len(noise) images [B, C, H, W] on [0, 1]."""
        ...


@runtime_checkable
class HasDenoiser(Protocol):
    """Has a Gaussian path, so that every path sampler draws from it (`generates = "gaussian"`)."""

    @property
    def path_shape(self) -> tuple[int, int, int]:
        """Shape of x_t, without the batch."""
        ...

    def to_path(self, images: Tensor) -> Tensor:
        """Turn images [B, C, H, W] on [0, 1] into x_0 [B, *path_shape]."""
        ...

    def from_path(self, x: Tensor) -> Tensor:
        """Turn x_0 [B, *path_shape] into images [B, C, H, W] on [0, 1]."""
        ...

    def observed_on_path(self, observed: Tensor) -> Tensor:
        """Which values of x_0 the pixels `observed`, bool [B, C, H, W], determine: bool, as x_0."""
        ...

    def denoiser(self, labels: Tensor | None = None, guidance: float = 1.0) -> Denoiser:
        """Return a denoiser of x_t, with a new counter of evaluations.

        Args:
            labels: int64 [B], classes of the images, or int64 [B, L], their prompts; without effect
                on models without classes and prompts.
            guidance: guidance scale, see `Denoiser`.
        """
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Encodes an image and decodes it again (`reconstructs = True`)."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """Return the reconstructions of images [B, C, H, W] on [0, 1], same shape and range."""
        ...


@runtime_checkable
class HasLikelihood(Protocol):
    """Has a density of images, or a lower bound of it (`likelihoods` names the kinds)."""

    def log_density(self, pixels: Tensor, kind: DensityKind, k: int) -> Tensor:
        """log p(y) or its bound in nats [B], for dequantised images y [B, C, H, W] on [0, 1).

        y = (x + u) / 256 with x in 0..255 and u ~ U[0, 1). May draw random numbers; `k` is the
        number of importance samples of kind 'iwae'.
        """
        ...


@runtime_checkable
class HasBoundTerms(Protocol):
    """Has a bound that is a sum over timesteps."""

    def bound_terms(self, pixels: Tensor) -> tuple[list[range], Tensor]:
        """Blocks of timesteps from 0, and the bound's sum over each in nats [B, blocks + 1].

        `pixels` as in HasLikelihood; the last column is the part that belongs to no timestep.
        """
        ...


@runtime_checkable
class Encodes(Protocol):
    """Has one latent vector for each image (`encodes = True`)."""

    def to_latent(self, images: Tensor) -> Tensor:
        """Turn images [B, C, H, W] on [0, 1] into latents [B, L] with a standard normal prior."""
        ...

    def from_latent(self, z: Tensor) -> Tensor:
        """Turn latents [B, L] into images [B, C, H, W] on [0, 1]."""
        ...
