"""Numbers with their standard errors, and the bound of K importance samples (IWAE-K).

With weights w = p(x, z) / q(z|x), z ~ q, Burda et al. 2016 (arXiv:1509.00519, equation 8) average
K of them inside the logarithm:

    L_K = E log (1/K) sum_k w_k,     ELBO = L_1 <= L_2 <= ... <= log p(x)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from genlab.models.vae import log_normal


class LatentModel(Protocol):
    """A decoder p(x|z) under z ~ N(0, I), and a Gaussian encoder q(z|x): a VAE."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images [B, C, H, W] -> mu, logvar of q(z|x), [B, L]."""
        ...

    def decode(self, z: Tensor) -> Tensor:
        """z [B, L] -> what `log_likelihood` takes."""
        ...

    def log_likelihood(self, images: Tensor, decoded: Tensor) -> Tensor:
        """log p(x|z) [B] in nats."""
        ...

    def log_weights(self, images: Tensor, k: int) -> Tensor:
        """log p(x, z) - log q(z|x) [k, B] in nats of k draws z ~ q(z|x)."""
        ...


class Estimate(NamedTuple):
    """A mean and its standard error."""

    value: float
    error: float


def estimate(values: Tensor) -> Estimate:
    """The mean of `values` [S, N]: S independent draws for each of N images.

    The images are taken as given: the error is that of the draws alone.
    """
    draws, images = values.shape
    variance = values.double().var(dim=0).sum() / draws
    return Estimate(float(values.double().mean()), float(variance.sqrt()) / images)


def log_mean_exp(values: Tensor, dim: int) -> Tensor:
    """log of the mean of exp(values) over `dim`, in float64."""
    return torch.logsumexp(values.double(), dim) - math.log(values.shape[dim])


def iwae(log_weights: Tensor, k: int) -> Estimate:
    """L_K from `log_weights` [S, N]: the mean over S // K groups of K draws each."""
    draws, images = log_weights.shape
    groups = log_weights[: draws - draws % k].reshape(draws // k, k, images)
    return estimate(log_mean_exp(groups, dim=1))


def iwae_curve(log_weights: Tensor, samples: Sequence[int]) -> list[dict[str, float]]:
    """L_K and its error for every K in `samples`, from the same `log_weights` [S, N]."""
    return [{"k": k, **iwae(log_weights, k)._asdict()} for k in samples]


def log_weight(
    model: LatentModel, images: Tensor, mu: Tensor, logvar: Tensor
) -> Callable[[Tensor], Tensor]:
    """log w of z = mu + std u as a function of u, [K, B, L] -> nats [K, B].

    Args:
        images: [B, C, H, W].
        mu, logvar: of the Gaussian q, [B, L].
    """

    def of(u: Tensor) -> Tensor:
        z = mu + (0.5 * logvar).exp() * u  # [K, B, L]
        x = images.expand(len(u), *images.shape).flatten(0, 1)
        log_p = model.log_likelihood(x, model.decode(z.flatten(0, 1))).reshape(u.shape[:2])
        log_prior = log_normal(z, torch.zeros_like(mu), torch.zeros_like(mu))
        return log_p + (log_prior - log_normal(z, mu, logvar)).sum(dim=-1)

    return of


def normal(random: torch.Generator, like: Tensor, *shape: int) -> Tensor:
    """Standard normal numbers from a stream of the CPU, brought to the device of `like`."""
    return torch.randn(shape, generator=random, dtype=like.dtype).to(like.device)
