"""Convolutions that several families share: an encoder of images, and a decoder of latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlab.nn.layers import group_norm

PATCH = 4
"""Side of the blocks of pixels that are folded into channels."""


class Trunk(nn.Sequential):
    """Images [B, C, H, W] on [0, 1] -> features [B, F].

    The receptive field of the last convolution is 23 pixels wide, so digits are recognised by
    weights that all positions share; only the linear layer after it knows positions. The first
    convolution halves the side, which saves most of the time.

    Args:
        shape: (C, H, W) of the images.
        channels: channels of the first convolution; the last one has four times as many.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int, features: int) -> None:
        c = channels
        sizes = [(shape[0], c, 2), (c, 2 * c, 2), (2 * c, 4 * c, 1), (4 * c, 4 * c, 2)]
        layers: list[nn.Module] = []
        for before, after, stride in sizes:
            convolution = nn.Conv2d(before, after, 3, stride, padding=1)
            layers += [convolution, group_norm(after), nn.SiLU()]
        height, width = (-(-side // 8) for side in shape[1:])
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(4 * c * height * width, features),
            nn.SiLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        # Convolutions on a CPU are fastest with channels last.
        x = (2 * images - 1).contiguous(memory_format=torch.channels_last)
        for layer in self:
            x = layer(x)
        return x


def patch_decoder(
    latent: int, hidden: int, channels: int, shape: tuple[int, int, int]
) -> nn.Sequential:
    """z [B, latent] -> [B, C, H, W], by a hidden layer and convolutions on a grid of H/4.

    Args:
        channels: channels on the grid.
        shape: (C, H, W); sides are rounded up to a multiple of 4.
    """
    colours, *sides = shape
    rows, columns = (-(-side // PATCH) for side in sides)
    return nn.Sequential(
        nn.Linear(latent, hidden),
        nn.SiLU(),
        nn.Linear(hidden, channels * rows * columns),
        nn.SiLU(),
        nn.Unflatten(1, (channels, rows, columns)),
        nn.Conv2d(channels, channels, 3, padding=1),
        group_norm(channels),
        nn.SiLU(),
        nn.Conv2d(channels, PATCH**2 * colours, 3, padding=1),
        nn.PixelShuffle(PATCH),
    )
