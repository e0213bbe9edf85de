"""Inpainting: draw the unknown pixels of an image, given the others.

Ancestral sampling with a denoiser that knows the observed pixels: whatever x_t is, it returns them
as their x_0. A step x_s ~ q(x_s | x_t, x_0) adds noise of the new level to them and denoises the
other pixels beside them (Song et al. 2021, arXiv:2011.13456, section 5 and appendix I.2).

At a high noise level the other pixels fit the observed ones only roughly, and what is decided there
may not fit them at a lower level. So each step is repeated several times, each time but the last
followed by noise of the forward path back to x_t ~ q(x_t | x_s), which harmonises the two parts
(Lugmayr et al. 2022, RePaint, arXiv:2201.09865, algorithm 1).

For a model on latents, a place of the latent grid counts as observed if all of its pixels are. The
encoder gets the mean of the observed pixels in place of the others, and the observed pixels are
copied into the decoded image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.models.capabilities import HasDenoiser
from genlab.processes.gaussian import Denoiser, Prediction, over_pixels
from genlab.processes.noise import SampleNoise
from genlab.samplers import sampling_loop, start
from genlab.samplers.ddpm import ancestral_move, forward_variance


@dataclass(frozen=True, kw_only=True)
class ObservingDenoiser(Denoiser):
    """A denoiser that knows some of the pixels of x_0.

    Attributes:
        images: [B, C, H, W], x_0.
        observed: bool [B, C, H, W], which of its values are known.
    """

    images: Tensor
    observed: Tensor

    def __call__(self, x: Tensor, t: float | Tensor, which: Tensor | None = None) -> Prediction:
        prediction = super().__call__(x, t, which)
        images, observed = self.images, self.observed
        if which is not None:
            images, observed = images[which], observed[which]
        level = self.path.level(torch.as_tensor(t, dtype=torch.float64, device=x.device))
        alpha, sigma = (over_pixels(part).to(x.dtype) for part in level)
        x0 = torch.where(observed, images.to(x.dtype), prediction.x0)
        eps = torch.where(observed, (x - alpha * x0) / sigma, prediction.eps)
        return Prediction(x0, eps, prediction.variance)


def inpaint(
    denoiser: Denoiser,
    noise: SampleNoise,
    images: Tensor,
    observed: Tensor,
    *,
    steps: int = 30,
    repeats: int = 4,
    spacing: Spacing = "karras",
) -> Tensor:
    """Draw the values of `images` that are not `observed`, float64 [B, C, H, W].

    Takes (steps - 1) repeats + 1 evaluations.

    Args:
        images: [B, C, H, W], x_0 of each sample of `noise`.
        observed: bool [B, C, H, W]; these values are returned unchanged.
        repeats: number of times that each step is taken.
    """
    observing = ObservingDenoiser(
        **vars(denoiser), images=images, observed=observed.expand_as(images)
    )
    shape, times = images.shape[1:], denoiser.times(steps, spacing)
    ancestral = ancestral_move(observing, noise)

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        levels = (*denoiser.level(t), *denoiser.level(s))
        forward_scale, variance = levels[0] / levels[2], forward_variance(*levels)
        for _ in range(repeats - 1):
            x_s = ancestral(x, prediction, t, s)
            x = forward_scale * x_s + math.sqrt(variance) * noise.normal(*shape)
            prediction = observing(x, t)
        return ancestral(x, prediction, t, s)

    x = start(denoiser, noise, shape, times[0])
    *_, last = sampling_loop(observing, x, times, move)
    return last.x


@torch.no_grad()
def complete(
    model: HasDenoiser,
    images: Tensor,
    observed: Tensor,
    noise: SampleNoise,
    *,
    labels: Tensor | None = None,
    guidance: float = 1.0,
    steps: int = 30,
) -> Tensor:
    """Draw the pixels of `images` that are not `observed`, [B, C, H, W] on [0, 1].

    Args:
        images: [B, C, H, W] on [0, 1], one for each sample of `noise`.
        observed: bool [B, C, H, W]; these pixels are returned unchanged.
        labels, guidance: the condition, as in `model.denoiser`.
    """
    observed = observed.expand_as(images)
    count = observed.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (images * observed).sum(dim=(2, 3), keepdim=True) / count
    x0 = inpaint(
        model.denoiser(labels, guidance),
        noise,
        model.to_path(torch.where(observed, images, mean)),
        model.observed_on_path(observed),
        steps=steps,
    )
    return torch.where(observed, images, model.from_path(x0).to(images.dtype))
