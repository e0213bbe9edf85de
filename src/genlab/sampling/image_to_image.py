"""Image to image: add noise to an image up to some strength, then denoise it.

x_t = alpha(t) x_0 + sigma(t) eps keeps the structures of the image that are larger than the noise;
the rest is drawn anew and follows the class or prompt (Meng et al. 2022, SDEdit, arXiv:2108.01073,
section 3; for latents Rombach et al. 2022, arXiv:2112.10752). Denoising is DDIM's, without noise.

The strength is the share of the steps of a full sample, rounded up. 0 takes no step and returns the
model's version of the image (an autoencoder's reconstruction); 1 takes all steps and starts from
pure noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.models.capabilities import HasDenoiser
from genlab.processes.noise import SampleNoise
from genlab.samplers import sampling_loop, start
from genlab.samplers.ddim import ddim_move


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
    """Draw variations of `images` from `model`, [B, C, H, W] on [0, 1].

    Args:
        images: [B, C, H, W] on [0, 1], one for each sample of `noise`.
        strength: 0..1, the share of the path that is sampled.
        labels, guidance: the condition, as in `model.denoiser`.
        steps: number of steps at strength 1.
    """
    denoiser, x = model.denoiser(labels, guidance), model.to_path(images)
    all_times = denoiser.times(steps, spacing)
    times = all_times[steps - math.ceil(round(strength * steps, 9)) :]  # 0.56 of 50 are 28
    if len(times) == steps:
        x = start(denoiser, noise, model.path_shape, times[0])
    elif times:
        alpha, sigma = denoiser.level(times[0])
        x = alpha * x.double() + sigma * noise.normal(*model.path_shape)
    if times:
        *_, (x, _) = sampling_loop(denoiser, x, times, ddim_move(denoiser, noise))
    return model.from_path(x)
