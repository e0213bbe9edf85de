"""The latents of many images, and which of their dimensions say anything."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.errors import GenLabError
from genlab.models.base import Encodes, Model
from genlab.models.batches import in_parts, to_uint8

ACTIVE = 0.01
"""The variance over data above which a posterior mean counts as active (Burda et al. 2016,
arXiv:1509.00519, section 5.2). Below it the noise of q(z|x), of variance near 1, hides it."""


def as_encoder(model: Model) -> Encodes:
    """`model` itself, seen as what it can do.

    Raises:
        GenLabError: it has no latent vector.
    """
    if not isinstance(model, Encodes):
        raise GenLabError(f"{type(model).__name__} has no latent vector to look at")
    return model


@torch.no_grad()
def encode(
    model: Encodes, images: NDArray[np.uint8], device: torch.device | str, batch_size: int = 250
) -> Tensor:
    """uint8 images [N, C, H, W] -> latents float32 [N, L], on the CPU."""
    parts = in_parts(images, device, batch_size)
    return torch.cat([model.to_latent(part).float().cpu() for part in parts])


@torch.no_grad()
def decode(
    model: Encodes, z: Tensor, device: torch.device | str, batch_size: int = 250
) -> NDArray[np.uint8]:
    """latents [..., L] -> uint8 images [..., C, H, W]."""
    parts = torch.split(z.flatten(0, -2), batch_size)
    images = torch.cat([to_uint8(model.from_latent(part.to(device))).cpu() for part in parts])
    return images.reshape(*z.shape[:-1], *images.shape[1:]).numpy()


def activity(latents: Tensor) -> Tensor:
    """Each dimension's variance over the images: [N, L] -> [L]."""
    return latents.var(dim=0, correction=0)
