"""The stage `likelihood`: bits per dimension of the held-out images, for every kind of bound.

All families are asked about the same numbers. A pixel x in 0..255 becomes y = (x + u) / 256 with
u ~ U[0, 1), where the u of image i depends on i alone. By Jensen's inequality (Theis et al. 2016,
arXiv:1511.01844, section 3.1)

    E_u[log p(y)]  <=  log P(x) + D log 256,        P(x) = the mass that p puts on the pixel's bin

so that   bits/dim = -log p(y) / (D log 2) + 8   is an upper bound of what it would cost to store
the 8-bit image with the model, and means the same for a density, for a mass on 256 grey values
(p(y) = 256^D P(x), with equality), and for a lower bound of either.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from genlab.config.families import DensityKind
from genlab.data.randomness import address
from genlab.errors import GenLabError
from genlab.io.arrays import read_array
from genlab.models.base import Model
from genlab.models.capabilities import HasBoundTerms, HasLikelihood
from genlab.models.devices import pick_device
from genlab.models.store import load_model
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.tracking.record import leave_record

BATCH = 250  # part of what a bound's random numbers depend on, so it is no option


def dequantised(pixels: Tensor, first: int) -> Tensor:
    """uint8 x [B, C, H, W], the held-out images from number `first` on -> (x + u) / 256."""
    noise = SampleNoise(address("dequantise"), range(first, first + len(pixels)), pixels.device)
    y = (pixels.float() + noise.uniform(*pixels.shape[1:])) / 256
    return y.clamp(max=1 - 2**-24)  # 255 + u can round up to 256 in float32


def bits_per_dim(nats: Tensor, dimensions: int) -> Tensor:
    """log p(y) in nats, of y on [0, 1)^D -> bits for each dimension of the 8-bit image."""
    return -nats / (dimensions * math.log(2)) + 8


@torch.no_grad()
def bits(model: Model, images: Tensor, kind: DensityKind, k: int) -> Tensor:
    """Bits/dim, float64 [N], of uint8 `images` [N, C, H, W] by the bound `kind`."""
    if not isinstance(model, HasLikelihood):
        raise GenLabError(f"{type(model).__name__} has no density")
    found = []
    for start in range(0, len(images), BATCH):
        y = dequantised(images[start : start + BATCH], start)
        torch.manual_seed(address("likelihood", kind, start))
        found.append(model.log_density(y, kind, k).double().cpu())
    return bits_per_dim(torch.cat(found), images[0].numel())


@torch.no_grad()
def bits_by_timestep(model: HasBoundTerms, images: Tensor) -> tuple[Tensor, dict[str, list[float]]]:
    """`bits` by the kind 'elbo' of a bound over timesteps, and the mean share of one timestep.

    The shares are in bits/dim, for blocks of the timesteps t = 1..T, each at its middle.
    """
    found = []
    for start in range(0, len(images), BATCH):
        y = dequantised(images[start : start + BATCH], start)
        torch.manual_seed(address("likelihood", "elbo", start))
        parts, nats = model.bound_terms(y)
        found.append(nats.double().cpu() / (images[0].numel() * math.log(2)))
    terms = torch.cat(found)  # bits/dim of the 8-bit image itself, [N, blocks + 1]
    shares = terms[:, :-1].mean(dim=0) / torch.tensor([len(part) for part in parts])
    middles = [(part.start + part.stop + 1) / 2 for part in parts]
    return terms.sum(dim=1), {"t": middles, "bits_per_dim": shares.tolist()}


def likelihood(
    run: RunFolder, *, k: int = 64, images: int | None = None, cpu: bool = False
) -> None:
    """Write the mean bits/dim over held-out images, and its standard error, for every kind.

    Args:
        k: importance samples of kind 'iwae'.
        images: how many, the first ones; all of them where None.

    Raises:
        GenLabError: the family has no density of 8-bit pixels.
    """
    device, origin = pick_device(cpu), run_origin(run)
    model = load_model(run, device, origin)
    if not model.config.likelihoods:
        raise GenLabError(f"{run.folder}: no bits/dim: {model.config.no_likelihood}")
    pixels = torch.from_numpy(read_array(run.data.images("test"))[:images].copy()).to(device)
    measured: dict[str, dict[str, float]] = {}
    terms: dict[str, Any] = {}
    for kind in model.config.likelihoods:
        try:
            if kind == "elbo" and isinstance(model, HasBoundTerms):
                values, terms["terms"] = bits_by_timestep(model, pixels)
            else:
                values = bits(model, pixels, kind, k)
        except ValueError as problem:
            raise GenLabError(f"{run.folder}: bits/dim by {kind}: {problem}") from None
        error = float(values.std(correction=0) / len(values) ** 0.5)
        measured[kind] = {"bits_per_dim": float(values.mean()), "standard_error": error}
    flat = {f"{kind}_{name}": v for kind, found in measured.items() for name, v in found.items()}
    content = {**measured, **terms, "images": len(pixels), "k": k}
    write_measured(run.likelihood, content, origin)
    leave_record(run, "likelihood", metrics=flat)
