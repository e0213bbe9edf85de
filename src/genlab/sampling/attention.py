"""Cross-attention maps: where a network that reads text attends to each token.

The weights are those that the network itself uses (`genlab.nn.unet.CrossAttention`), averaged over
heads, layers and sampling steps (Tang et al. 2023, DAAM, arXiv:2210.04885, section 3, which sums
them).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from genlab.config.samplers import SteppedSampler
from genlab.data.tokenizer import END, Tokenizer
from genlab.errors import GenLabError
from genlab.models.gaussian import GaussianModel
from genlab.nn.unet import CrossAttention
from genlab.processes.noise import SampleNoise
from genlab.sampling.draw import Drawing, draw
from genlab.sampling.figures import to_numpy


@contextmanager
def recorded_attention(network: nn.Module) -> Iterator[list[Tensor]]:
    """Record the weights [B, h, w, L] of every cross-attention in `network` at each call.

    Yields a list of means over the heads, which grows while the context lasts.
    """
    recorded: list[Tensor] = []

    def record(module: CrossAttention, arguments: tuple[Any, ...], output: Tensor) -> None:
        x, texts = arguments
        recorded.append(module.weights(x, texts).mean(dim=1).reshape(len(x), *x.shape[2:], -1))

    layers = [module for module in network.modules() if isinstance(module, CrossAttention)]
    hooks = [layer.register_forward_hook(record) for layer in layers]
    try:
        yield recorded
    finally:
        for hook in hooks:
            hook.remove()


def attention_maps(
    model: GaussianModel, sampler: SteppedSampler, noise: SampleNoise, tokens: Tensor
) -> tuple[Drawing, Tensor]:
    """Samples for the prompts `tokens` [B, L], and the attention that each token receives.

    Returns:
        The samples as `draw` returns them, and weights float32 [B, L, h, w], which sum to 1 over
        the tokens at every position and are 0 for padding. (h, w) is the grid of the path.

    Raises:
        GenLabError: the model has no cross-attention, or the guidance scale is 0.
    """
    if sampler.guidance == 0:
        raise GenLabError("guidance: 0 ignores the prompts, so their tokens receive no attention")
    if sampler.spacing == "aligned":
        model.speed()  # now, so that its evaluations are not among those recorded
    with recorded_attention(model.network) as recorded:
        drawing = draw(model, sampler, noise, tokens)
    if not recorded:
        raise GenLabError(f"{type(model).__name__}: has no cross-attention to text")
    grid, b = model.path_shape[1:], len(tokens)
    total = torch.zeros(b, tokens.shape[1], *grid, device=tokens.device)
    for weights in recorded:  # with guidance, the batch is doubled and the prompts come first
        maps = weights[:b].movedim(3, 1).float()  # [B, L, h, w] of the layer
        total += F.interpolate(maps, grid, mode="nearest")
    return drawing, total / len(recorded)


def attention_rows(
    model: GaussianModel,
    sampler: SteppedSampler,
    noise: SampleNoise,
    tokens: Tensor,
    tokenizer: Tokenizer,
) -> dict[str, NDArray[np.uint8]]:
    """Samples for one prompt, and a row of attention maps for each token, by the row's name.

    Args:
        tokens: int64 [L], the prompt of all samples.

    Returns:
        Rows uint8 [B, C, H, W]. Maps are as large as the images, and as bright as the maximum
        over each token's row allows.

    Raises:
        GenLabError: as `attention_maps`.
    """
    drawing, maps = attention_maps(model, sampler, noise, tokens.expand(len(noise), -1))
    large = F.interpolate(maps, model.shape[1:], mode="nearest")  # [B, L, H, W]
    rows = {"sample": to_numpy(drawing.images)}
    prompt = tokens.tolist()
    for i, token in enumerate(prompt[: prompt.index(END)]):
        grey = (large[:, i] / large[:, i].max())[:, None].expand(-1, model.shape[0], -1, -1)
        rows[f"{i + 1}. {tokenizer.decode([token])}"] = to_numpy(grey)
    return rows
