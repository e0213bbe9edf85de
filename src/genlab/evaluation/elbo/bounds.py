"""Estimates with their standard errors, and the bound of K importance samples (IWAE-K).

With weights w = p(x, z) / q(z|x), z ~ q, the bound averages K of them inside the logarithm (Burda
et al. 2016, arXiv:1509.00519, equation 8):

    L_K = E log (1/K) sum_k w_k,     ELBO = L_1 <= L_2 <= ... <= log p(x)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from genlab.nn.densities import log_mean_exp


class Estimate(NamedTuple):
    """A mean and its standard error."""

    value: float
    error: float


def estimate(values: Tensor) -> Estimate:
    """The mean of `values` [S, N]: S independent draws for each of N images.

    The error is that of the draws alone, for these N images.
    """
    draws, images = values.shape
    variance = values.double().var(dim=0).sum() / draws
    return Estimate(float(values.double().mean()), float(variance.sqrt()) / images)


def iwae(log_weights: Tensor, k: int) -> Estimate:
    """L_K from `log_weights` [S, N]: the mean over S // K groups of K draws each."""
    draws, images = log_weights.shape
    groups = log_weights[: draws - draws % k].reshape(draws // k, k, images)
    return estimate(log_mean_exp(groups, dim=1))


def iwae_curve(log_weights: Tensor, samples: Sequence[int]) -> list[dict[str, float]]:
    """L_K and its error for every K in `samples`, from the same `log_weights` [S, N]."""
    return [{"k": k, **iwae(log_weights, k)._asdict()} for k in samples]


def over_images(values: Tensor) -> dict[str, float]:
    """The mean of `values` [N] over images, and its standard error with N images."""
    values = values.double()
    return Estimate(float(values.mean()), float(values.std() / len(values) ** 0.5))._asdict()
