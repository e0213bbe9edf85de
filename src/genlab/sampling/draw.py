"""Drawing images from a trained model of any family."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
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
from genlab.models.base import Model
from genlab.models.capabilities import DrawOptions, Generates, GeneratesWithOptions, HasDenoiser
from genlab.models.devices import resolve_precision
from genlab.processes.noise import SampleNoise
from genlab.samplers import Denoiser, Step, find


@dataclass
class Drawing:
    """A batch of samples.

    Attributes:
        images: [B, C, H, W] on [0, 1].
        evaluations: mean number of network evaluations for a sample.
        trail: the x_0 predicted at every step, each like `images`; empty unless requested, and for
            one-pass models.
    """

    images: Tensor
    evaluations: float
    trail: list[Tensor]


def precision_of(sampler: SamplerConfig, device: torch.device | str) -> Literal["fp32", "bf16"]:
    """Precision of the network for `sampler` on `device`."""
    requested = sampler.precision if isinstance(sampler, SteppedSampler) else "fp32"
    return resolve_precision(requested, cuda=torch.device(device).type == "cuda")


def steps_of(
    denoiser: Denoiser, sampler: SamplerConfig, noise: SampleNoise, shape: tuple[int, ...]
) -> Iterator[Step]:
    """Every step of `sampler`, each of [B, *shape], with the network in the sampler's precision.

    Raises:
        GenLabError: the sampler's settings do not fit the path.
    """
    denoiser = replace(denoiser, bf16=precision_of(sampler, noise.device) == "bf16")
    try:
        yield from find(sampler.sampler)(denoiser, noise, shape, **settings(sampler))
    except ValueError as error:
        raise GenLabError(f"sampler '{sampler.sampler}': {error}") from None


def classes_of(noise: SampleNoise, model: Model) -> Tensor:
    """Classes int64 [B] to draw: each in turn, so that all are equally frequent."""
    return torch.tensor([i % model.classes for i in noise.indices], device=noise.device)


class Captions(NamedTuple):
    """Captions to draw images for.

    Attributes:
        images: int64 [B], indices of the training images that the captions belong to.
        tokens: int64 [B, L], the captions.
    """

    images: Tensor
    tokens: Tensor


def random_captions(
    captions: NDArray[np.int64], tokens: NDArray[np.int64], noise: SampleNoise
) -> Captions:
    """Random captions of training images; those of sample i are a function of i alone.

    Args:
        captions: int64 [N, K], the numbers of the K captions of each image.
        tokens: int64 [T, L], the tokens of each caption.
    """
    choices = [generator("prompt", i).integers(captions.shape) for i in noise.indices]
    images, which = np.array(choices).T  # for each sample an image, and one of its captions
    chosen_tokens = np.array(tokens[captions[images, which]])
    arrays = (images, chosen_tokens)
    return Captions(*(torch.from_numpy(array).to(noise.device) for array in arrays))


def _draw_directly(
    model: Model, sampler: DirectSampler, noise: SampleNoise, tokens: Tensor | None
) -> Drawing:
    """Draw in one pass, with those options that the model's family supports.

    Raises:
        GenLabError: the sampler has settings that the family does not support.
    """
    if obstacle := sampler.obstacle(model.config):
        raise GenLabError(
            f"sampler '{sampler.sampler}' can't draw from {type(model).__name__}: {obstacle}"
        )
    options = DrawOptions(**settings(sampler)) if model.config.tempered else DrawOptions()
    if model.config.takes_prompts:
        guidance = sampler.guidance if isinstance(sampler, TokenSampler) else 1.0
        options = replace(options, tokens=tokens, guidance=guidance)
    if model.config.tempered or model.config.takes_prompts:
        assert isinstance(model, GeneratesWithOptions)
        images = model.generate(noise, options)
    else:
        assert isinstance(model, Generates)
        images = model.generate(noise)
    passes = 1 if options.guidance in (0, 1) else 2
    return Drawing(images.clamp(0, 1), model.evaluations * passes, [])


@torch.no_grad()
def draw(
    model: Model,
    sampler: SamplerConfig,
    noise: SampleNoise,
    condition: Tensor | None = None,
    trail: bool = False,
) -> Drawing:
    """Draw len(noise) images from `model`.

    Args:
        condition: prompts int64 [B, L] for a model that takes prompts, classes int64 [B] for one
            that knows classes; None stands for no prompt, and for each class in turn.
        trail: whether to return the x_0 of every step.

    Raises:
        GenLabError: the sampler does not fit this kind of model, or has more steps than the model.
    """
    if isinstance(sampler, DirectSampler) and isinstance(model, Generates):
        return _draw_directly(model, sampler, noise, condition)
    if not isinstance(sampler, PathSampler) or not isinstance(model, HasDenoiser):
        raise GenLabError(
            f"sampler '{sampler.sampler}' draws from {sampler.works_on} models, "
            f"but {type(model).__name__} is none"
        )
    if condition is None and not model.config.takes_prompts:
        condition = classes_of(noise, model)
    denoiser = model.denoiser(condition, sampler.guidance)
    states: list[Step] = []
    for step in steps_of(denoiser, sampler, noise, model.path_shape):
        if trail or not states:
            states.append(step)
        else:
            states[-1] = step
    predictions = [model.from_path(state.x0) for state in states] if trail else []
    images = model.from_path(states[-1].x)
    return Drawing(images, denoiser.evaluations / len(noise), predictions)


def draw_images(model: Model, sampler: SamplerConfig, noise: SampleNoise, tokens: Tensor) -> Tensor:
    """Images [B, C, H, W] on [0, 1] for the prompts `tokens` [B, L]."""
    return draw(model, sampler, noise, tokens).images
