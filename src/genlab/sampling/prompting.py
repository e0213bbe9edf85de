"""Candidates for one prompt: sampled from noise, or based on a source image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from genlab.models.batches import in_parts, to_uint8
from genlab.models.capabilities import HasDenoiser
from genlab.models.clip import CLIP
from genlab.processes.noise import SampleNoise
from genlab.sampling.image_to_image import image_to_image
from genlab.sampling.inpainting import complete

BATCH = 16  # candidates at a time
REAL_BATCH = 500  # real images at a time


@dataclass(frozen=True)
class SourceImage:
    """An image that candidates are based on.

    Attributes:
        pixels: [1, C, H, W] on [0, 1].
        strength: of image to image, 0..1: 0 keeps the image, 1 replaces it.
        mask: bool [1, 1, H, W], True where pixels are kept and the others are inpainted; None for
            image to image.
    """

    pixels: Tensor
    strength: float
    mask: Tensor | None = None


def redraw_image(
    model: HasDenoiser,
    source: SourceImage,
    settings: dict[str, Any],
    noise: SampleNoise,
    tokens: Tensor,
) -> Tensor:
    """Images [B, C, H, W] on [0, 1] for the prompts `tokens` [B, L], based on a source image.

    Args:
        settings: `guidance` and `steps`, where the sampler has them.

    Raises:
        ValueError: the model cannot take this number of steps.
    """
    images = source.pixels.to(noise.device).expand(len(noise), -1, -1, -1)
    options = {"labels": tokens, **settings}
    if source.mask is None:
        return image_to_image(model, images, noise, strength=source.strength, **options)
    return complete(model, images, source.mask.to(noise.device), noise, **options)


def draw_in_batches(
    generate: Callable[[SampleNoise, Tensor], Tensor], tokens: Tensor, candidates: int, seed: int
) -> Tensor:
    """All candidates, uint8 [candidates, C, H, W], for a prompt int64 [1, L].

    Candidate i starts from the noise of (seed, i).

    Args:
        generate: draws images on [0, 1] for noise and tokens.
    """
    batches = []
    with tqdm(total=candidates, unit="picture") as bar:
        for start in range(0, candidates, BATCH):
            samples = range(start, min(start + BATCH, candidates))
            noise = SampleNoise(seed, samples, tokens.device)
            batches.append(to_uint8(generate(noise, tokens.expand(len(samples), -1))))
            bar.update(len(samples))
    return torch.cat(batches)


@torch.no_grad()
def score_quantile(clip: CLIP, images: NDArray[np.uint8], tokens: Tensor, quantile: float) -> float:
    """A quantile of the CLIP scores (100 times the cosine) of images with their own captions.

    Args:
        images: [N, C, H, W].
        tokens: int64 [N, L], a caption of each.
    """
    parts = zip(
        in_parts(images, tokens.device, REAL_BATCH), torch.split(tokens, REAL_BATCH), strict=True
    )
    scores = torch.cat([clip.score(*part) for part in parts])
    return 100 * float(scores.quantile(quantile))
