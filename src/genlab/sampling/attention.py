"""Where a network looks while it reads: its cross-attention from image positions to tokens.

The weights are those that the network itself uses (`genlab.nn.unet.CrossAttention`), in the mean
over heads, layers and the steps of a walk (Tang et al. 2023, DAAM, arXiv:2210.04885, section 3,
which sums them).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlab.config.samplers import SteppedSampler
from genlab.errors import GenLabError
from genlab.models.gaussian import GaussianModel
from genlab.nn.unet import CrossAttention
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import Drawing, draw


@contextmanager
def watched(network: nn.Module) -> Iterator[list[Tensor]]:
    """The weights [B, h, w, L] of every cross-attention in `network`, each time it is called.

    Means over the heads, in a list that grows while the context lasts.
    """
    seen: list[Tensor] = []

    def note(module: CrossAttention, arguments: tuple[Any, ...], output: Tensor) -> None:
        x, texts = arguments
        seen.append(module.weights(x, texts).mean(dim=1).reshape(len(x), *x.shape[2:], -1))

    readers = [module for module in network.modules() if isinstance(module, CrossAttention)]
    hooks = [reader.register_forward_hook(note) for reader in readers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def attention_maps(
    model: GaussianModel, sampler: SteppedSampler, noise: SampleNoise, tokens: Tensor
) -> tuple[Drawing, Tensor]:
    """Samples that are asked for by `tokens` [B, L], and where each token was looked at.

    Returns:
        The samples as `draw` gives them, and weights float32 [B, L, h, w], which at every position
        sum to 1 over the tokens; 0 at what says nothing. (h, w) is the grid of the path.

    Raises:
        GenLabError: the model reads no text.
    """
    with watched(model.network) as seen:
        drawing = draw(model, sampler, noise, tokens)
    if not seen:
        raise GenLabError(f"{type(model).__name__}: reads no text, and so looks at none")
    grid, b = model.path_shape[1:], len(tokens)
    total = torch.zeros(b, tokens.shape[1], *grid, device=tokens.device)
    for weights in seen:  # under guidance the given texts come first, then that of nothing
        maps = weights[:b].movedim(3, 1).float()  # [B, L, h, w] of the layer
        total += F.interpolate(maps, grid, mode="nearest")
    return drawing, total / len(seen)
