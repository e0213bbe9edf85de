"""Feature extractors, one file each, found by its name.

What planning needs to know about an extractor is in the file of the same name in
`genlab.config.evaluators`; here is the computation. Metrics compare what `features_of` returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.evaluators import extractor
from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation.metrics import Features
from genlab.models.base import Model
from genlab.registry import class_in

M = TypeVar("M", bound=Model)

BATCH = 100  # images at a time
FITTED_IMAGES = 10_000
"""Largest number of training images that an extractor is fitted to."""


class Extractor(ABC):
    """A function from images to features and class logits."""

    rgb: ClassVar[bool] = False
    """Whether grey images are repeated to three channels."""

    @abstractmethod
    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        """Set up the extractor on `device`.

        Args:
            model: the trained evaluator of the extractor's name; None if it is not trained.

        Raises:
            GenLabError: its weights can't be had, or are of another architecture.
        """

    def fit(self, images: NDArray[np.uint8]) -> None:  # noqa: B027 - most learn nothing
        """Learn from training images, uint8 [M, C, H, W], what needs no gradient steps.

        Called once before any other call, for an evaluator that is `fitted`. It may depend on the
        images only.
        """

    @abstractmethod
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [B, C, H, W] -> features [B, F] and logits [B, K]; K = 0 if it has no classes."""


def make_extractor(
    name: str,
    model: Model | None,
    config: EvaluationConfig,
    device: torch.device,
    training: NDArray[np.uint8] | None = None,
) -> Extractor:
    """The extractor `name`; `model`, `config` and `device` are those of `Extractor`.

    Args:
        training: the training images, uint8 [M, C, H, W], for one that is fitted to them.

    Raises:
        GenLabError: there is none of this name, or its weights can't be had.
    """
    facts = extractor(name)
    kind = class_in(facts.module, Extractor)  # type: ignore[type-abstract]
    result = kind(model, config, device)
    if facts.fitted:
        if training is None:
            raise TypeError(f"the extractor '{name}' is fitted to training images")
        result.fit(evenly(training, FITTED_IMAGES))
    return result


def expect(kind: type[M], model: Model | None, name: str) -> M:
    """The trained `model` of the extractor `name`.

    Raises:
        GenLabError: it is not a `kind`.
    """
    if not isinstance(model, kind):
        raise GenLabError(
            f"the extractor '{name}' needs a {kind.__name__}, not a {type(model).__name__}"
        )
    return model


def evenly(images: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """At most `most` of the images, evenly spaced, since their order may be sorted by class."""
    n = len(images)
    return np.array(images[np.linspace(0, n - 1, min(n, most)).round().astype(int)])


@torch.no_grad()
def features_of(network: Extractor, images: NDArray[np.uint8], device: torch.device) -> Features:
    """The features [N, F] and logits [N, K] of images uint8 [N, C, H, W], float32."""
    outputs = []
    for start in range(0, len(images), BATCH):
        pixels = torch.from_numpy(np.array(images[start : start + BATCH])).to(device)
        if network.rgb and pixels.shape[1] == 1:
            pixels = pixels.repeat(1, 3, 1, 1)
        outputs.append([output.float().cpu() for output in network(pixels)])
    features, logits = (torch.cat(parts).numpy() for parts in zip(*outputs, strict=True))
    return {"features": features, "logits": logits}
