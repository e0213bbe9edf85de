"""Drawing images from a trained model, whatever its family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from genlab.config.errors import GenLabError
from genlab.config.samplers import PathSampler, PriorSampler, SamplerConfig, settings
from genlab.models.base import Generates, HasDenoiser, Model
from genlab.processes.noise import SampleNoise
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


def _to_unit(x: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return ((x + 1) / 2).clamp(0, 1)


def steps_of(
    denoiser: Denoiser, sampler: SamplerConfig, noise: SampleNoise, shape: tuple[int, ...]
) -> Iterator[Step]:
    """Every step of `sampler`, each of images [B, C, H, W].

    Raises:
        GenLabError: the sampler can't walk this path as it is set.
    """
    try:
        yield from find(sampler.sampler)(denoiser, noise, shape, **settings(sampler))
    except ValueError as error:
        raise GenLabError(f"sampler '{sampler.sampler}': {error}") from None


def classes_of(noise: SampleNoise, model: Model) -> Tensor:
    """The classes int64 [B] asked for: each in turn, so that all are drawn alike."""
    return torch.tensor([i % model.classes for i in noise.indices], device=noise.device)


@torch.no_grad()
def draw(model: Model, sampler: SamplerConfig, noise: SampleNoise, trail: bool = False) -> Drawing:
    """Draw len(noise) images from `model`.

    Raises:
        GenLabError: the sampler doesn't work on this kind of model, or asks for more steps than
            the model has.
    """
    if isinstance(sampler, PriorSampler) and isinstance(model, Generates):
        if not sampler.fits(model.config):
            raise GenLabError(
                f"sampler '{sampler.sampler}': {type(model).__name__} knows no temperature, but "
                f"{sampler.temperature} is asked for"
            )
        asked = settings(sampler) if model.config.tempered else {}
        return Drawing(model.generate(noise, **asked).clamp(0, 1), model.evaluations, [])
    if not isinstance(sampler, PathSampler) or not isinstance(model, HasDenoiser):
        raise GenLabError(
            f"sampler '{sampler.sampler}' draws from {sampler.works_on} models, "
            f"but {type(model).__name__} is none"
        )
    denoiser = model.denoiser(classes_of(noise, model), sampler.guidance)
    states: list[Step] = []
    for step in steps_of(denoiser, sampler, noise, model.shape):
        if trail or not states:
            states.append(step)
        else:
            states[-1] = step
    seen = [_to_unit(state.x0) for state in states] if trail else []
    return Drawing(_to_unit(states[-1].x), denoiser.evaluations / len(noise), seen)
