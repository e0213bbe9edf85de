"""Attention by hand, for bfloat16 on a CPU, beside PyTorch's kernel."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genlab.nn.layers import attend

# A product is rounded to 8 bits of mantissa, 2^-9 of its size at most; softmax and two products
# together stay within a few of those of numbers around 1.
BF16 = 2e-2


def parts(keys: int = 9) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, 3, t, 8) for t in (9, keys, keys)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("how", ["all", "causal", "causal, the last 9 of 12", "mask"])
def test_values_and_gradients_are_those_of_the_equation(dtype: torch.dtype, how: str) -> None:
    causal = how.startswith("causal")
    keys = {"causal": 9, "causal, the last 9 of 12": 12}.get(how, 7)
    q, k, v = (part.requires_grad_() for part in parts(keys))
    mask = torch.ones(9, keys, dtype=torch.bool)
    if causal:
        mask = torch.arange(keys) <= torch.arange(keys - 9, keys)[:, None]
    if how == "mask":
        mask = torch.rand(2, 1, 1, 7) < 0.5
        mask[..., 0] = True
    logits = torch.einsum("bhtd,bhsd->bhts", q, k) / 8**0.5
    exact = logits.masked_fill(~mask, -torch.inf).softmax(dim=3) @ v
    weights = torch.randn_like(exact)
    gradients = torch.autograd.grad((weights * exact).sum(), (q, k, v))

    given = None if how != "mask" else mask
    result = attend(*(part.to(dtype) for part in (q, k, v)), given, causal=causal)
    assert result.dtype == dtype
    tolerance = BF16 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(result.float(), exact, atol=tolerance, rtol=tolerance)
    ours = torch.autograd.grad((weights * result).sum(), (q, k, v))
    torch.testing.assert_close(ours, gradients, atol=4 * tolerance, rtol=4 * tolerance)


def test_what_is_not_seen_changes_nothing() -> None:
    q, k, v = (part.bfloat16() for part in parts())
    before = attend(q, k, v, causal=True)
    k[:, :, 5:], v[:, :, 5:] = 7, 7
    after = attend(q, k, v, causal=True)
    assert torch.equal(before[:, :, :5], after[:, :, :5])
    assert not torch.equal(before, after)


def test_bfloat16_is_as_near_as_the_kernel() -> None:
    q, k, v = parts()
    exact = attend(q, k, v)
    low = [part.bfloat16() for part in (q, k, v)]
    ours, kernel = attend(*low), F.scaled_dot_product_attention(*low)
    assert (ours.float() - exact).abs().max() <= 2 * (kernel.float() - exact).abs().max()
