"""The base class of all models: a loss to train on, and the facts a model is built for.

Images are float32 [B, C, H, W] on [0, 1] in all public methods; a family that prefers another range
converts inside. What a model can do besides is in `genlab.models.capabilities`.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.config.families import FamilyConfig


class Words(NamedTuple):
    """Sizes of tokenised captions: `vocabulary` tokens, `length` of them in each, padded.

    `tokenizer` is a hash of the tokenizer.
    """

    vocabulary: int
    length: int
    tokenizer: str = ""


class Batch(NamedTuple):
    """A batch of training or held-out images.

    Attributes:
        images: float32 [B, C, H, W] on [0, 1].
        labels: int64 [B].
        progress: share of the training that is done; 1 outside of training.
        epoch: number of the epoch, from 0.
        indices: int64 [B], indices among the training images that `measure` was called with; None
            for other images and for augmented ones.
        tokens: int64 [B, L], a caption of each image, for families that read captions.
        factors: int64 [B, K], factors of each image, for families that use factors.
    """

    images: Tensor
    labels: Tensor
    progress: float = 1.0
    epoch: int = 0
    indices: Tensor | None = None
    tokens: Tensor | None = None
    factors: Tensor | None = None


def ramp(progress: float, share: float) -> float:
    """Linear from 0 to 1 over the first `share` of the training, then 1."""
    return min(progress / share, 1.0) if share else 1.0


class Model(nn.Module):
    """A model of a family.

    A second stage is given its trained first stage, which stays frozen and in evaluation mode; it
    is saved and loaded together with the second stage. A family that reads captions also takes
    `words`, and one that uses factors `factors`, the number of values of each.

    Args:
        config: hyperparameters of the family.
        shape: (channels, height, width) of the images.
        classes: number of classes.

    Attributes:
        evaluations: network evaluations for one sample of `generate`.
        facts: what the model was built for, set by `build_model`.
    """

    evaluations: int = 1
    facts: Facts

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
        """Set training mode, except for the first stage."""
        super().train(mode)
        if self.first_stage is not None:
            self.first_stage.eval()
        return self

    @property
    def batch_size_matters(self) -> bool:
        """Whether a loss depends on the number of images in its batch, outside of training too."""
        return False

    def measure(self, images: NDArray[np.uint8]) -> None:
        """Learn from all training images, uint8 [N, C, H, W], what can't be learned in steps.

        Called once before the first step, and again with the same images when training is resumed.
        It may depend only on the images and on the weights at that time.

        Raises:
            GenLabError: nothing can be learned from these images.
        """

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to log, float32; training minimises 'loss'. May draw random numbers."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, under the name that distributed training and compilation wrap."""
        return self.loss(batch)


def model_class(config: FamilyConfig) -> type[Model]:
    """Return the class that the family's configuration names."""
    module, _, name = config.implementation.partition(":")
    kind: type[Model] = getattr(importlib.import_module(module), name)
    return kind


class Facts(NamedTuple):
    """Facts about a data set that models are built for; every family uses some of them.

    Attributes:
        shape: (C, H, W) of the images.
        classes: number of classes.
        words: sizes of the captions.
        factors: number of values of each factor; the class alone where factors are unknown.
    """

    shape: tuple[int, int, int]
    classes: int
    words: Words = Words(2, 1)
    factors: dict[str, int] = {}  # noqa: RUF012 - never changed

    @classmethod
    def of(cls, manifest: dict[str, Any]) -> Facts:
        """Return the facts in a data set's manifest."""
        classes = len(manifest["classes"])
        factors = manifest.get("factors") or {"class": classes}
        return cls(tuple(manifest["shape"]), classes, Words(**manifest["text"]), factors)


def build_model(
    config: FamilyConfig, facts: Facts, seed: int, first_stage: Model | None = None
) -> Model:
    """Build a model with random weights, which depend on `seed` only, on a trained first stage."""
    kwargs: dict[str, Any] = {}
    if first_stage is not None:
        kwargs["first_stage"] = first_stage
    if config.reads_captions:
        kwargs["words"] = facts.words
    if config.knows_factors:
        kwargs["factors"] = facts.factors
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)(config, facts.shape, facts.classes, **kwargs)
    model.facts = facts
    return model
