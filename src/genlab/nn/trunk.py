"""The convolutions that CLIP, the judge, the contrastive encoder and the autoencoder share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlab.nn.layers import group_norm


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
