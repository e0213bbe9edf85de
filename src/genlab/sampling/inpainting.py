"""Inpainting: to draw some pixels of an image, given the others.

Ancestral sampling with a denoiser that knows the given pixels: whatever x_t is, their x_0 is what
is given. A step x_s ~ q(x_s | x_t, x_0) noises them to the level of the rest, and the rest is
denoised beside them (Song et al. 2021, arXiv:2011.13456, section 5 and appendix I.2).

That alone draws the rest to fit the given pixels as noisy as they are at each level, and what was
decided at a high level may not fit them at a low one. So each step is taken several times, each
time but the last followed by the noise of the path back up to x_t ~ q(x_t | x_s), by which the rest
comes to terms with what is given (Lugmayr et al. 2022, RePaint, arXiv:2201.09865, algorithm 1).

Where a model walks in another space than that of the pixels, what is known there are the places all
of whose pixels are. The encoder sees the mean of the given pixels in the place of the others, and
the given ones are put back into what is decoded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.models.base import HasDenoiser
from genlab.processes.gaussian import Denoiser, Ends, over_pixels
from genlab.processes.noise import SampleNoise
from genlab.samplers import start
from genlab.samplers.ddpm import jump_variance, posterior


@dataclass(kw_only=True)
class Knowing(Denoiser):
    """A denoiser that knows some of the pixels of x_0.

    Attributes:
        images: [B, C, H, W], x_0.
        known: bool [B, C, H, W], which of its numbers it knows.
    """

    images: Tensor
    known: Tensor

    def __call__(self, x: Tensor, t: float | Tensor, which: Tensor | None = None) -> Ends:
        found = super().__call__(x, t, which)
        images, known = self.images, self.known
        if which is not None:
            images, known = images[which], known[which]
        level = self.path.level(torch.as_tensor(t, dtype=torch.float64, device=x.device))
        alpha, sigma = (over_pixels(part).to(x.dtype) for part in level)
        x0 = torch.where(known, images.to(x.dtype), found.x0)
        eps = torch.where(known, (x - alpha * x0) / sigma, found.eps)
        return Ends(x0, eps, found.variance)


def inpaint(
    denoiser: Denoiser,
    noise: SampleNoise,
    images: Tensor,
    known: Tensor,
    *,
    steps: int = 30,
    repeats: int = 4,
    spacing: Spacing = "karras",
) -> Tensor:
    """`images` with the numbers that aren't `known` drawn anew, float64 [B, C, H, W].

    Takes (steps - 1) repeats + 1 evaluations.

    Args:
        images: [B, C, H, W], x_0 of each sample of `noise`.
        known: bool [B, C, H, W]; these numbers come out as they are.
        repeats: how often each step is taken.
    """
    knowing = Knowing(**vars(denoiser), images=images, known=known.expand_as(images))
    shape, times = images.shape[1:], denoiser.times(steps, spacing)
    x = start(denoiser, noise, shape, times[0])
    for t, s in pairwise(times):
        levels = (*denoiser.level(t), *denoiser.level(s))
        from_x, from_x0, variance = posterior(*levels)
        kept, jump = levels[0] / levels[2], jump_variance(*levels)
        for further in reversed(range(repeats)):
            mean = from_x * x + from_x0 * knowing(x, t).x0
            x = mean + math.sqrt(variance) * noise.normal(*shape)
            if further:
                x = kept * x + math.sqrt(jump) * noise.normal(*shape)
    x0 = knowing(x, times[-1]).x0
    denoiser.evaluations = knowing.evaluations
    return x0


@torch.no_grad()
def complete(
    model: HasDenoiser,
    images: Tensor,
    known: Tensor,
    noise: SampleNoise,
    *,
    labels: Tensor | None = None,
    guidance: float = 1.0,
    steps: int = 30,
) -> Tensor:
    """`images` with the pixels that aren't `known` drawn anew, [B, C, H, W] on [0, 1].

    Args:
        images: [B, C, H, W] on [0, 1], one for each sample of `noise`.
        known: bool [B, C, H, W]; these pixels come out as they are.
        labels, guidance: what is asked for, as `model.denoiser` takes them.
    """
    known = known.expand_as(images)
    count = known.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (images * known).sum(dim=(2, 3), keepdim=True) / count
    x0 = inpaint(
        model.denoiser(labels, guidance),
        noise,
        model.to_path(torch.where(known, images, mean)),
        model.known_on_path(known),
        steps=steps,
    )
    return torch.where(known, images, model.from_path(x0).to(images.dtype))
