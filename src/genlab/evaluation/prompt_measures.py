"""Measures of candidates that are drawn for prompts, as functions of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def counts_up_to(candidates: int) -> list[int]:
    """1, 2, 4, ... and `candidates` itself: the numbers n of the best-of-n curves."""
    return [*(2**k for k in range((candidates - 1).bit_length())), candidates]


def best_of(values: Tensor, scores: Tensor, counts: list[int]) -> list[float]:
    """The expected value of the best-scoring of n random candidates, for each n of `counts`.

    The expectation is over all subsets of n among the N candidates: the candidate of rank r (0 is
    the best) is the best one in C(N - 1 - r, n - 1) of them. n = 1 gives the mean of all N.

    Args:
        values, scores: [P, N].
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    ranked = values.double().gather(1, order).mean(dim=0)  # [N]
    total, curve = len(ranked), []
    for n in counts:
        subsets = [math.comb(total - 1 - rank, n - 1) for rank in range(total)]
        weights = torch.tensor([s / math.comb(total, n) for s in subsets], dtype=torch.float64)
        curve.append(float(ranked.cpu() @ weights))
    return curve


def by_factor(correct: Tensor, names: list[str], subject: list[str]) -> dict[str, Any]:
    """Split `correct` into each factor, the whole subject and everything.

    Args:
        correct: bool [..., F], for factors called `names`.
        subject: the names of the factors that make up the subject.

    Returns:
        Tensors [...] 'subject' and 'all', and under 'factors' one for each name.
    """
    columns = [names.index(name) for name in subject]
    return {
        "factors": dict(zip(names, correct.unbind(dim=-1), strict=True)),
        "subject": correct[..., columns].all(dim=-1),
        "all": correct.all(dim=-1),
    }


def map_nested(function: Callable[[Tensor], Any], values: dict[str, Any]) -> dict[str, Any]:
    """`function` of every tensor in the nested dictionary that `by_factor` returns."""
    return {
        name: map_nested(function, value) if isinstance(value, dict) else function(value)
        for name, value in values.items()
    }
