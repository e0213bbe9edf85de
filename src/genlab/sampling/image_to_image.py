"""Image to image: noise an image up to some strength, then denoise it as if it had been drawn.

x_t = alpha(t) x_0 + sigma(t) eps keeps of the image what is larger than the noise, and the rest is
drawn anew, to fit what is asked for (Meng et al. 2022, SDEdit, arXiv:2108.01073, section 3; for
latents Rombach et al. 2022, arXiv:2112.10752). The way back is DDIM's, which adds no noise.

The strength is a share of the steps that a sample takes from pure noise, rounded up: 0 takes none,
and gives what the model makes of the image's x_0 (an autoencoder's reconstruction); 1 takes all of
them, and begins with noise alone.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.models.base import HasDenoiser
from genlab.processes.noise import SampleNoise
from genlab.processes.paths import CLEAN
from genlab.samplers import start


@torch.no_grad()
def image_to_image(
    model: HasDenoiser,
    images: Tensor,
    noise: SampleNoise,
    *,
    strength: float,
    labels: Tensor | None = None,
    guidance: float = 1.0,
    steps: int = 50,
    spacing: Spacing = "uniform",
) -> Tensor:
    """What `model` draws from `images`, [B, C, H, W] on [0, 1].

    Args:
        images: [B, C, H, W] on [0, 1], one for each sample of `noise`.
        strength: 0..1, how much of the path is walked.
        labels, guidance: what is asked for, as `model.denoiser` takes them.
        steps: of a strength of 1.
    """
    denoiser, x = model.denoiser(labels, guidance), model.to_path(images)
    every = denoiser.times(steps, spacing)
    times = every[steps - math.ceil(round(strength * steps, 9)) :]  # 0.56 of 50 are 28
    if len(times) == steps:
        x = start(denoiser, noise, model.path_shape, times[0])
    elif times:
        alpha, sigma = denoiser.level(times[0])
        x = alpha * x.double() + sigma * noise.normal(*model.path_shape)
    for t, s in pairwise([*times, CLEAN]):
        found, (alpha, sigma) = denoiser(x, t), denoiser.level(s)
        x = alpha * found.x0 + sigma * found.eps
    return model.from_path(x)
