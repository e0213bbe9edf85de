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
    multiple: int = 1,
    context: int = 0,
) -> nn.Module:
    """A network (x [B, C, H, W], t [B] on 0..1000, labels int64 [B] or None) -> [B, M C, H, W].

    Args:
        shape: (C, H, W) of what it denoises.
        classes: how many labels there are, the label `classes` standing for none; 0: no labels.
        multiple: M, numbers said of each pixel and channel.
        context: width of the states of texts that a U-Net reads, `texts=`; 0: it reads none.
    """
    if isinstance(config, DiTConfig):
        return DiT(shape, config, classes, multiple)
    return UNet(shape[0], config, classes, multiple, context)
