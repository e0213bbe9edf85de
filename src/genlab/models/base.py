"""What every family is: a loss to train on, and what it can do besides, stated as protocols.

Images are float32 [B, C, H, W] on [0, 1] wherever a family meets the outside; a family that
prefers another range converts inside.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from genlab.config.families import FamilyConfig
from genlab.processes.gaussian import Denoiser
from genlab.processes.noise import SampleNoise


class Batch(NamedTuple):
    """images float32 [B, C, H, W] on [0, 1], labels int64 [B]."""

    images: Tensor
    labels: Tensor


class Model(nn.Module):
    """A family: `config` says how large, `shape` is (channels, height, width) of the images."""

    def __init__(self, config: Any, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.config = config
        self.shape = shape
        self.classes = classes

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars to log, float32; the one called 'loss' is minimised. May draw random numbers."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """`loss`, under the name that gradients are synchronised and compiled for."""
        return self.loss(batch)


@runtime_checkable
class Generates(Protocol):
    """Draws images in one pass (`generates = "direct"`)."""

    def generate(self, noise: SampleNoise) -> Tensor:
        """len(noise) images [B, C, H, W] on [0, 1]."""
        ...


@runtime_checkable
class HasDenoiser(Protocol):
    """Has a Gaussian path, so that any sampler draws from it (`generates = "gaussian"`)."""

    def denoiser(self) -> Denoiser:
        """A denoiser on images scaled to [-1, 1], its evaluations counted from 0."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """Encodes an image and decodes it again (`reconstructs = True`)."""

    def reconstruct(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> their reconstructions, the same shape and range."""
        ...


def model_class(config: FamilyConfig) -> type[Model]:
    """The class that the family's declaration names."""
    module, _, name = config.implementation.partition(":")
    kind: type[Model] = getattr(importlib.import_module(module), name)
    return kind


def build_model(
    config: FamilyConfig, shape: tuple[int, int, int], classes: int, seed: int
) -> Model:
    """A new model with random weights that depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model_class(config)(config, shape, classes)
