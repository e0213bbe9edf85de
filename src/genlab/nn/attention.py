"""Attention, softmax(q k^T / sqrt(d)) v (Vaswani et al. 2017, arXiv:1706.03762, equation 1)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def attend(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None, causal: bool = False
) -> Tensor:
    """Queries [B, heads, T, d], keys and values [B, heads, S, d] -> [B, heads, T, d].

    PyTorch's fused kernel, but for bfloat16 on a CPU: there its backward pass takes four to eight
    times as long as these few lines do on sequences of 50 to 100 tokens.

    Args:
        seen: bool, broadcastable to [B, heads, T, S]: what each query attends to. None: everything.
        causal: the queries are the last T of S positions, each of which sees itself and those
            before it; `seen` is None then.
    """
    fused = q.device.type != "cpu" or q.dtype != torch.bfloat16
    t, s = q.shape[2], k.shape[2]
    if causal and (t != s or not fused):  # the kernel's own mask is for T = S
        seen, causal = torch.ones(t, s, dtype=torch.bool, device=q.device).tril(s - t), False
    if fused:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, is_causal=causal)
    logits = ((q / math.sqrt(q.shape[3])) @ k.transpose(2, 3)).float()
    if seen is not None:  # a sum hands its gradient on as it is, masked_fill fills that in anew
        logits += torch.zeros(seen.shape).masked_fill_(~seen, -torch.inf)
    return logits.softmax(dim=3).to(v.dtype) @ v
