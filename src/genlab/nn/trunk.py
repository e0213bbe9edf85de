"""The convolutions of the networks that judge pictures: CLIP's image encoder and the judge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genlab.nn.unet import group_norm


class Trunk(nn.Sequential):
    """Images [B, C, H, W] on [0, 1] -> features [B, F].

    The last convolution sees 23 pixels each way, so that a digit is told by weights that all places
    share; only the layer behind it knows the place. The first one halves the side at once, which
    saves most of the time.

    Args:
        shape: (C, H, W).
        channels: of the first convolution; there are four times as many in the end.
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
        # Channels last is what convolutions on a CPU are fastest in.
        x = (2 * images - 1).contiguous(memory_format=torch.channels_last)
        for layer in self:
            x = layer(x)
        return x
