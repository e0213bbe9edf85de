"""Drawing images from a trained model, whatever its family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlab.config.samplers import (
    DirectSampler,
    PathSampler,
    SamplerConfig,
    SteppedSampler,
    TokenSampler,
    settings,
)
from genlab.data.randomness import generator
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.models.base import Generates, HasDenoiser, Model
from genlab.models.devices import resolve_precision
from genlab.processes.noise import SampleNoise
from genlab.results.layout import DataFolder
from genlab.samplers import Denoiser, Step, find


@dataclass
class Drawing:
    """A batch of samples.

    Attributes:
        images: [B, C, H, W] on [0, 1].
        evaluations: network evaluations spent on each sample, in the mean.
        trail: the x_0 predicted at every step, each like `images`; empty for one-pass models.
    """

    images: Tensor
    evaluations: float
    trail: list[Tensor]


def precision_of(sampler: SamplerConfig, device: torch.device | str) -> Literal["fp32", "bf16"]:
    """What a network is computed in that `sampler` asks on `device`."""
    asked = sampler.precision if isinstance(sampler, SteppedSampler) else "fp32"
    return resolve_precision(asked, cuda=torch.device(device).type == "cuda")


def steps_of(
    denoiser: Denoiser, sampler: SamplerConfig, noise: SampleNoise, shape: tuple[int, ...]
) -> Iterator[Step]:
    """Every step of `sampler`, each of [B, *shape]; the denoiser takes to the sampler's precision.

    Raises:
        GenLabError: the sampler can't walk this path as it is set.
    """
    denoiser.bf16 = precision_of(sampler, noise.device) == "bf16"
    try:
        yield from find(sampler.sampler)(denoiser, noise, shape, **settings(sampler))
    except ValueError as error:
        raise GenLabError(f"sampler '{sampler.sampler}': {error}") from None


def classes_of(noise: SampleNoise, model: Model) -> Tensor:
    """The classes int64 [B] asked for: each in turn, so that all are drawn alike."""
    return torch.tensor([i % model.classes for i in noise.indices], device=noise.device)


class Captions(NamedTuple):
    """What samples are asked for where the model takes prompts.

    Attributes:
        images: int64 [B], numbers of training images whose captions are asked for.
        tokens: int64 [B, L], the captions.
    """

    images: Tensor
    tokens: Tensor


def captions_of(data: DataFolder, noise: SampleNoise) -> Captions:
    """Captions of training images, drawn at random; those of sample i are a function of i alone."""
    captions, tokens = read_array(data.captions("train")), read_array(data.tokens)
    drawn = [generator("prompt", i).integers(captions.shape) for i in noise.indices]
    images, which = np.array(drawn).T  # of each sample: an image, and one of its captions
    said = np.array(tokens[captions[images, which]])
    return Captions(*(torch.from_numpy(found).to(noise.device) for found in (images, said)))


def _told(model: Model, sampler: DirectSampler, tokens: Tensor | None) -> dict[str, Any]:
    """What the model's `generate` is told besides the noise: no more than its family knows.

    Raises:
        GenLabError: the sampler asks for more.
    """
    if obstacle := sampler.obstacle(model.config):
        raise GenLabError(
            f"sampler '{sampler.sampler}' can't draw from {type(model).__name__}: {obstacle}"
        )
    told = settings(sampler) if model.config.tempered else {}
    if model.config.takes_prompts:
        told["tokens"] = tokens
        if isinstance(sampler, TokenSampler):
            told["guidance"] = sampler.guidance
    return told


@torch.no_grad()
def draw(
    model: Model,
    sampler: SamplerConfig,
    noise: SampleNoise,
    tokens: Tensor | None = None,
    trail: bool = False,
) -> Drawing:
    """Draw len(noise) images from `model`.

    Args:
        tokens: int64 [B, L], what a model that takes prompts is asked for.
        trail: whether to keep the x_0 of every step.

    Raises:
        GenLabError: the sampler doesn't work on this kind of model, or asks for more steps than
            the model has.
    """
    if isinstance(sampler, DirectSampler) and isinstance(model, Generates):
        told = _told(model, sampler, tokens)
        images = model.generate(noise, **told).clamp(0, 1)
        guided = told.get("guidance", 1) not in (0, 1)  # by two evaluations in place of one
        return Drawing(images, model.evaluations * (1 + guided), [])
    if not isinstance(sampler, PathSampler) or not isinstance(model, HasDenoiser):
        raise GenLabError(
            f"sampler '{sampler.sampler}' draws from {sampler.works_on} models, "
            f"but {type(model).__name__} is none"
        )
    condition = tokens if model.config.takes_prompts else classes_of(noise, model)
    denoiser = model.denoiser(condition, sampler.guidance)
    states: list[Step] = []
    for step in steps_of(denoiser, sampler, noise, model.path_shape):
        if trail or not states:
            states.append(step)
        else:
            states[-1] = step
    seen = [model.from_path(state.x0) for state in states] if trail else []
    return Drawing(model.from_path(states[-1].x), denoiser.evaluations / len(noise), seen)
