"""Bits per dimension of held-out images, by every kind of estimate that a family has.

All families are measured on the same numbers. A pixel x in 0..255 becomes y = (x + u) / 256 with
u ~ U[0, 1), where the u of image i depends on i alone. By Jensen's inequality (Theis et al. 2016,
arXiv:1511.01844, section 3.1)

    E_u[log p(y)]  <=  log P(x) + D log 256,        P(x) = the mass of p in the pixel's bin

so   bits/dim = -log p(y) / (D log 2) + 8   is an upper bound of the cost of storing the 8-bit image
with the model. It means the same for a density, for a mass on 256 grey values (p(y) = 256^D P(x),
with equality), and for a lower bound of either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from genlab.config.families import DensityKind
from genlab.data.randomness import address
from genlab.errors import GenLabError
from genlab.models.base import Model
from genlab.models.capabilities import HasBoundTerms, HasLikelihood
from genlab.processes.noise import SampleNoise

BATCH = 250  # the random numbers of a bound depend on it, so it is not an option


def dequantised(pixels: Tensor, numbers: Sequence[int]) -> Tensor:
    """uint8 x [B, C, H, W] -> y = (x + u) / 256; `numbers` are those of the images."""
    noise = SampleNoise(address("dequantise"), numbers, pixels.device)
    y = (pixels.float() + noise.uniform(*pixels.shape[1:])) / 256
    return y.clamp(max=1 - 2**-24)  # 255 + u can round up to 256 in float32


def _dequantised_batches(
    images: Tensor, numbers: Sequence[int] | None
) -> Iterator[tuple[int, Tensor]]:
    """Batches of `dequantised` images, each behind the index of its first one.

    Args:
        numbers: those of the images in their split; None: 0 ... N - 1.
    """
    numbers = range(len(images)) if numbers is None else numbers
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        yield start, dequantised(images[part], numbers[part])


def bits_per_dim(nats: Tensor, dimensions: int) -> Tensor:
    """log p(y) in nats, for y in [0, 1)^D -> bits for each dimension of the 8-bit image."""
    return -nats / (dimensions * math.log(2)) + 8


@torch.no_grad()
def bits(
    model: Model, images: Tensor, kind: DensityKind, k: int, numbers: Sequence[int] | None = None
) -> Tensor:
    """Bits/dim, float64 [N], of uint8 `images` [N, C, H, W] by the estimate `kind`.

    Args:
        k: importance samples of kind 'iwae'.
        numbers: those of the images in their split; None: 0 ... N - 1.
    """
    if not isinstance(model, HasLikelihood):
        raise GenLabError(f"{type(model).__name__} has no density")
    parts = []
    for start, y in _dequantised_batches(images, numbers):
        torch.manual_seed(address("likelihood", kind, start))
        parts.append(model.log_density(y, kind, k).double().cpu())
    return bits_per_dim(torch.cat(parts), images[0].numel())


@torch.no_grad()
def bits_by_timestep(
    model: HasBoundTerms, images: Tensor, numbers: Sequence[int] | None = None
) -> tuple[Tensor, dict[str, list[float]]]:
    """`bits` by the kind 'elbo' of a bound over timesteps, and the mean share of one timestep.

    The shares are in bits/dim, for blocks of the timesteps t = 1..T, each at its middle.
    """
    results = []
    for start, y in _dequantised_batches(images, numbers):
        torch.manual_seed(address("likelihood", "elbo", start))
        blocks, nats = model.bound_terms(y)
        results.append(nats.double().cpu() / (images[0].numel() * math.log(2)))
    terms = torch.cat(results)  # bits/dim of the 8-bit image itself, [N, blocks + 1]
    shares = terms[:, :-1].mean(dim=0) / torch.tensor([len(block) for block in blocks])
    middles = [(block.start + block.stop + 1) / 2 for block in blocks]
    return terms.sum(dim=1), {"t": middles, "bits_per_dim": shares.tolist()}


def measure_likelihood(
    model: Model, images: Tensor, k: int, numbers: Sequence[int] | None = None
) -> dict[str, Any]:
    """Mean bits/dim over uint8 `images` [N, C, H, W] and its standard error, by kind of estimate.

    The shares of timesteps are under 'terms' where the ELBO is a sum over timesteps.

    Args:
        k: importance samples of kind 'iwae'.
        numbers: those of the images in their split; None: 0 ... N - 1.

    Raises:
        GenLabError: the family has no density of 8-bit pixels, or the model can't evaluate it.
    """
    if not model.config.likelihoods:
        raise GenLabError(f"no bits/dim: {model.config.no_likelihood}")
    measured: dict[str, Any] = {}
    terms: dict[str, Any] = {}
    for kind in model.config.likelihoods:
        try:
            if kind == "elbo" and isinstance(model, HasBoundTerms):
                values, terms["terms"] = bits_by_timestep(model, images, numbers)
            else:
                values = bits(model, images, kind, k, numbers)
        except ValueError as problem:
            raise GenLabError(f"bits/dim by {kind}: {problem}") from None
        error = float(values.std(correction=0) / len(values) ** 0.5)
        measured[kind] = {"bits_per_dim": float(values.mean()), "standard_error": error}
    return {**measured, **terms, "images": len(images), "k": k}
