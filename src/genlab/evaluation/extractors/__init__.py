"""Feature extractors, one file each, found by its name.

What planning needs to know about an extractor is in the file of the same name in
`genlab.config.evaluators`; here is the network. Metrics compare what `features_of` returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.config.evaluators import extractor
from genlab.config.study import EvaluationConfig
from genlab.evaluation.metrics import Features
from genlab.models.base import Model
from genlab.registry import class_in

BATCH = 100  # images at a time


class Extractor(ABC):
    """A network from images to features and class logits."""

    rgb: ClassVar[bool] = False
    """Whether grey images are repeated to three channels."""

    @abstractmethod
    def __init__(self, model: Model | None, config: EvaluationConfig, device: torch.device) -> None:
        """Set up the network on `device`.

        Args:
            model: the trained evaluator of the extractor's name; None if it is not trained.

        Raises:
            GenLabError: its weights can't be had, or are of another architecture.
        """

    @abstractmethod
    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [B, C, H, W] -> features [B, F] and logits [B, K]; K = 0 if it has no classes."""


def make_extractor(
    name: str, model: Model | None, config: EvaluationConfig, device: torch.device
) -> Extractor:
    """The extractor `name`; the other arguments are those of `Extractor`.

    Raises:
        GenLabError: there is none of this name, or its weights can't be had.
    """
    kind = class_in(extractor(name).module, Extractor)  # type: ignore[type-abstract]
    return kind(model, config, device)


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
