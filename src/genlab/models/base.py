"""What every family is: a loss to train on, and what it can do besides, stated as protocols.

Images are float32 [B, C, H, W] on [0, 1] wherever a family meets the outside; a family that
prefers another range converts inside.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.config.families import FamilyConfig, Likelihood

if TYPE_CHECKING:  # so that no other family depends on the code of Gaussian paths
    from genlab.processes.gaussian import Denoiser
    from genlab.processes.noise import SampleNoise


class Words(NamedTuple):
    """What captions are made of: `vocabulary` tokens, `length` of them in each, padded.

    `tokenizer` is a hash of the one that they were made by.
    """

    vocabulary: int
    length: int
    tokenizer: str = ""


class Batch(NamedTuple):
    """images float32 [B, C, H, W] on [0, 1], labels int64 [B]; and where the training stands.

    `progress` is the share of the training that is done, 1 outside of it; `epoch` counts from 0.
    `indices`, int64 [B], are the numbers of the training images that these are, as `measure` saw
    them; None where they are others, or changed. `tokens`, int64 [B, L], are a caption of each
    image, for a family that reads captions; `factors`, int64 [B, K], what it shows, for one that
    knows factors.
    """

    images: Tensor
    labels: Tensor
    progress: float = 1.0
    epoch: int = 0
    indices: Tensor | None = None
    tokens: Tensor | None = None
    factors: Tensor | None = None


class Model(nn.Module):
    """A family: `config` says how large, `shape` is (channels, height, width) of the images.

    A second stage is given its trained first stage, which stays frozen in evaluation mode, is
    saved with it, and so is there wherever the second stage is loaded. A family that reads captions
    is given `words` as well, and one that knows factors the number of values of each.

    `evaluations` is how often the network is called to draw one sample in `generate`.
    """

    evaluations: int = 1

    facts: Facts
    """What it was built for, by `build_model`."""

    def __init__(
        self,
        config: Any,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Model | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        self.classes = classes
        self.first_stage = first_stage
        if first_stage is not None:
            first_stage.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but the first stage."""
        super().train(mode)
        if self.first_stage is not None:
            self.first_stage.eval()
        return self

    def measure(self, images: NDArray[np.uint8]) -> None:
        """Learn from all training images, uint8 [N, C, H, W], what can't be learned in steps.

        Called once before the first step, and again with the same images where a training is
        resumed: it may depend on nothing but them and its weights then.

        Raises:
            GenLabError: nothing can be learned from these images.
        """

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to log, float32; the one called 'loss' is minimised. May draw random numbers."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, under the name that gradients are synchronised and compiled for."""
        return self.loss(batch)


@runtime_checkable
class Generates(Protocol):
    """Draws images in one pass (`generates = "direct"`).

    With `tempered = True` it takes `temperature: float = 1.0` as well; below 1 it stays nearer the
    mode.
    """

    def generate(self, noise: SampleNoise) -> Tensor:
        """len(noise) images [B, C, H, W] on [0, 1]."""
        ...


@runtime_checkable
class HasDenoiser(Protocol):
    """Has a Gaussian path, so that any sampler draws from it (`generates = "gaussian"`)."""

    @property
    def path_shape(self) -> tuple[int, int, int]:
        """The shape of what walks the path, without the batch."""
        ...

    def to_path(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> x_0, where they lie at the end of the path."""
        ...

    def from_path(self, x: Tensor) -> Tensor:
        """x_0 [B, *path_shape] -> images [B, C, H, W] on [0, 1]."""
        ...

    def known_on_path(self, known: Tensor) -> Tensor:
        """bool [B, C, H, W], which pixels are known -> bool [B, *path_shape], what of x_0 is."""
        ...

    def denoiser(self, labels: Tensor | None = None, guidance: float = 1.0) -> Denoiser:
        """A denoiser of what walks the path, its evaluations counted from 0.

        Args:
            labels: int64 [B], the classes of the images to draw, or int64 [B, L], their prompts;
                of no effect where the model knows neither.
            guidance: how far they are exaggerated, see `Denoiser`.
        """
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Encodes an image and decodes it again (`reconstructs = True`)."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> their reconstructions, the same shape and range."""
        ...


@runtime_checkable
class HasLikelihood(Protocol):
    """Has a density of images, or a lower bound of it (`likelihoods` names the kinds)."""

    def log_density(self, pixels: Tensor, kind: Likelihood, k: int) -> Tensor:
        """log p(y) or its bound, in nats [B], of dequantised images y [B, C, H, W] on [0, 1).

        y = (x + u) / 256 with x in 0..255 and u ~ U[0, 1). May draw random numbers; `k` is the
        number of importance samples of kind 'iwae'.
        """
        ...


@runtime_checkable
class HasBoundTerms(Protocol):
    """Has a bound that is a sum over timesteps."""

    def bound_terms(self, pixels: Tensor) -> tuple[list[range], Tensor]:
        """Blocks of timesteps from 0, and the bound's sum over each, in nats [B, blocks + 1].

        `pixels` as in HasLikelihood; the last column is what belongs to no timestep.
        """
        ...


@runtime_checkable
class Encodes(Protocol):
    """Has one latent vector for each image (`encodes = True`)."""

    def to_latent(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> latents [B, L], standard normal a priori."""
        ...

    def from_latent(self, z: Tensor) -> Tensor:
        """latents [B, L] -> images [B, C, H, W] on [0, 1]."""
        ...


def model_class(config: FamilyConfig) -> type[Model]:
    """The class that the family's declaration names."""
    module, _, name = config.implementation.partition(":")
    kind: type[Model] = getattr(importlib.import_module(module), name)
    return kind


class Facts(NamedTuple):
    """What is known of a data set before any of its images is seen; every family takes its share.

    Attributes:
        shape: (C, H, W) of the images.
        classes: how many there are.
        words: of its captions.
        factors: how many values each factor has; the class alone where no factors are known.
    """

    shape: tuple[int, int, int]
    classes: int
    words: Words = Words(2, 1)
    factors: dict[str, int] = {}  # noqa: RUF012 - never changed

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> Facts:
        """The facts in a data set's manifest."""
        classes = len(manifest["classes"])
        factors = manifest.get("factors") or {"class": classes}
        return cls(tuple(manifest["shape"]), classes, Words(**manifest["text"]), factors)


def build_model(
    config: FamilyConfig, facts: Facts, seed: int, first_stage: Model | None = None
) -> Model:
    """A new model with random weights that depend on `seed` alone, on a trained first stage."""
    given: dict[str, Any] = {}
    if first_stage is not None:
        given["first_stage"] = first_stage
    if config.reads_captions:
        given["words"] = facts.words
    if config.knows_factors:
        given["factors"] = facts.factors
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)(config, facts.shape, facts.classes, **given)
    model.facts = facts
    return model
