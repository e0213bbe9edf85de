"""The latents of many images, and which of their dimensions are in use."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genlab.errors import GenLabError
from genlab.models.base import Model
from genlab.models.batches import in_parts, to_uint8
from genlab.models.capabilities import Encodes

ACTIVE = 0.01
"""Variance over the data above which a dimension of the mean of q(z|x) counts as active (Burda et
al. 2016, arXiv:1509.00519, section 5.2). Below it the noise of q(z|x), of variance near 1, hides
the dimension."""


def as_encoder(model: Model) -> Encodes:
    """Return `model`, typed as an encoder.

    Raises:
        GenLabError: the model has no latent vector.
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
    """Variance of each dimension over the images: [N, L] -> [L]."""
    return latents.var(dim=0, correction=0)
