"""The network of a diffusion family, by the `backbone:` of its config."""

from __future__ import annotations

from torch import nn

from genlab.config.networks import DiTConfig, UNetConfig
from genlab.nn.dit import DiT
from genlab.nn.unet import UNet


def make_network(
    config: UNetConfig | DiTConfig,
    shape: tuple[int, int, int],
    classes: int,
    outputs: int = 1,
    context: int = 0,
) -> nn.Module:
    """Build a network (x [B, C, H, W], t [B], labels int64 [B]) -> [B, M C, H, W].

    t is the conditioning value, see `GaussianPath.conditioning`.

    Args:
        shape: (C, H, W) of x.
        classes: number of labels; the label `classes` stands for none. 0: no labels.
        outputs: M, output channels for each input channel.
        context: width of the states of texts that a U-Net reads, `texts=`; 0: no texts.
    """
    if isinstance(config, DiTConfig):
        return DiT(shape, config, classes, outputs)
    return UNet(shape[0], config, classes, outputs, context)
