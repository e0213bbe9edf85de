"""Layers and functions that several networks share."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Affine = TypeVar("Affine", nn.Conv2d, nn.Linear)


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Attention, softmax(q k^T / sqrt(d)) v, of queries [B, heads, T, d] to S keys and values.

    Vaswani et al. 2017 (arXiv:1706.03762), equation 1. Returns [B, heads, T, d]. Uses PyTorch's
    fused kernel, except for bfloat16 on a CPU: there its backward pass takes four to eight times as
    long as the explicit formula on sequences of 50 to 100 tokens.

    Args:
        mask: bool, broadcastable to [B, heads, T, S]: the keys that each query attends to; None for
            all keys.
        causal: the queries are the last T of S positions, and each attends to itself and the
            positions before it; `mask` must be None.
    """
    fused = q.device.type != "cpu" or q.dtype != torch.bfloat16
    t, s = q.shape[2], k.shape[2]
    if causal and (t != s or not fused):  # the kernel's own causal mask needs T = S
        mask, causal = torch.ones(t, s, dtype=torch.bool, device=q.device).tril(s - t), False
    if fused:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    logits = ((q / math.sqrt(q.shape[3])) @ k.transpose(2, 3)).float()
    if mask is not None:  # adding a mask is cheaper in the backward pass than `masked_fill`
        logits += torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)
    return logits.softmax(dim=3).to(v.dtype) @ v


def sinusoidal_embedding(t: Tensor, dim: int, max_period: float = 10_000.0) -> Tensor:
    """Embed conditioning values `t` [B] as cosines and sines [B, dim], with `dim` even.

    t is as of `GaussianPath.conditioning`. Vaswani et al. 2017 (arXiv:1706.03762), section 3.5.
    Computed in float64: the last bit of a float32 cosine depends on its place in the batch.
    """
    half = dim // 2
    places = torch.arange(half, dtype=torch.float64, device=t.device)
    frequency = torch.exp(-math.log(max_period) * places / half)
    angle = t.double()[:, None] * frequency[None, :]  # [B, half]
    return torch.cat([angle.cos(), angle.sin()], dim=1).float()


def mirror_on_host(module: Any, buffer: str) -> None:
    """Keep the value of a bool `buffer` [] in `module.on_host` as well, False until it is loaded.

    To ask the buffer itself means to wait for a GPU, in every layer at every step. Who sets it sets
    both.
    """

    def read(module: Any, _: object) -> None:
        module.on_host = bool(getattr(module, buffer))

    module.on_host = False
    module.register_load_state_dict_post_hook(read)


def upcast(x: Tensor) -> Tensor:
    """Convert bfloat16 to float32; leave other dtypes unchanged."""
    return x.float() if x.dtype == torch.bfloat16 else x


class GroupNorm(nn.GroupNorm):
    """GroupNorm in float32 even if its input is bfloat16, as autocast does on a GPU.

    On a CPU it would take two to five times as long in bfloat16.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(upcast(x))


def group_norm(channels: int) -> GroupNorm:
    """GroupNorm with groups of at least eight channels, and at most 32 groups.

    Eight float32 fill a vector register; with channels last, groups of four take three times as
    long.
    """
    groups = max(g for g in range(1, min(32, max(channels // 8, 1)) + 1) if channels % g == 0)
    return GroupNorm(groups, channels)


def silu(h: Tensor) -> Tensor:
    """x sigmoid(x), in place where no gradient needs the input."""
    return F.silu(h, inplace=not torch.is_grad_enabled())


def zero(module: Affine) -> Affine:
    """Set the weights of `module` to zero, so that the branch it ends contributes nothing yet."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module
