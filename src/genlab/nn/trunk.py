"""What classifies small images, up to the layer before the answer."""

from __future__ import annotations

from torch import Tensor, nn

from genlab.nn.unet import group_norm


class Trunk(nn.Sequential):
    """Images [B, C, H, W] on [0, 1] -> features [B, F].

    Convolutions at sides H, H/2, H/4, mean over positions down to 4 x 4, one hidden layer.

    Args:
        shape: (C, H, W).
        channels: of the first convolution; doubled with every halving of the side.
    """

    def __init__(self, shape: tuple[int, int, int], channels: int, features: int) -> None:
        c = channels
        super().__init__(
            nn.Conv2d(shape[0], c, 3, padding=1),
            group_norm(c),
            nn.SiLU(),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1),
            group_norm(2 * c),
            nn.SiLU(),
            nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1),
            group_norm(4 * c),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(4 * c * 16, features),
            nn.SiLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        x = 2 * images - 1
        for layer in self:
            x = layer(x)
        return x
