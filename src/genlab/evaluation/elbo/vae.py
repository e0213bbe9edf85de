"""The bound of a trained VAE, taken apart: its KL term, IWAE-K, log p(x) by AIS, the gap's parts.

All of it is about the images as the model is shown them, x / 255 on [0, 1] or black and white, and
about its own p(x|z): a density of such x for a Gaussian, a probability of grey values for a
logistic, of black and white for a Bernoulli (shown grey values, it has no normalised p(x|z)).
Nats here compare between models of one likelihood; across them there are the league's bits/dim.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlab.config.elbo_study import AnnealingConfig, DecompositionConfig, LaboratoryConfig
from genlab.data.randomness import address
from genlab.evaluation.elbo.ais import Schedule, anneal, lower_bound, tune, upper_bound
from genlab.evaluation.elbo.bounds import Estimate, estimate, normal
from genlab.evaluation.elbo.decomposition import decompose
from genlab.evaluation.elbo.hmc import Target, target
from genlab.evaluation.elbo.local import local_posterior
from genlab.models.vae import LatentModel, log_weight
from genlab.nn.densities import gaussian_kl

BATCH = 250  # images decoded at a time; random numbers do not depend on it
Posterior = tuple[Tensor, Tensor]
"""mu, logvar [B, L]."""


class Path(NamedTuple):
    """What AIS walks along: from the Gaussian `start` to p(x, z), in the coordinates u of it."""

    start: Posterior
    at: Target
    schedule: Schedule


def stream(*parts: int | str) -> torch.Generator:
    """Random numbers of the CPU that depend on the address `parts` alone."""
    return torch.Generator().manual_seed(address("laboratory", *parts))


def over_images(values: Tensor) -> dict[str, float]:
    """The mean of `values` [N] over images, and the standard error that comes of having N."""
    values = values.double()
    return Estimate(float(values.mean()), float(values.std() / len(values) ** 0.5))._asdict()


@torch.no_grad()
def decomposition(
    model: LatentModel, images: Tensor, config: DecompositionConfig, random: torch.Generator
) -> dict[str, Any]:
    """ELBO = reconstruction - KL over `images` [N, C, H, W], and the KL taken apart.

    The error of the ELBO is that over images; those of the other numbers are of the draws alone.
    """
    encoded = [model.encode(some) for some in torch.split(images, BATCH)]
    mu, logvar = (torch.cat(values) for values in zip(*encoded, strict=True))
    drawn = []
    for _ in range(config.draws):
        z = mu + (0.5 * logvar).exp() * normal(random, mu, *mu.shape)
        pairs = zip(torch.split(images, BATCH), torch.split(z, BATCH), strict=True)
        drawn.append(torch.cat([model.log_likelihood(x, model.decode(some)) for x, some in pairs]))
    reconstruction = torch.stack(drawn).double()  # [S, N]
    return {
        "images": len(images),
        "elbo": over_images(reconstruction.mean(dim=0) - gaussian_kl(mu, logvar).sum(dim=1)),
        "reconstruction": estimate(reconstruction)._asdict(),
        **decompose(mu, logvar, config.draws, random),
    }


def find_path(
    model: LatentModel,
    images: Tensor,
    local: Posterior,
    config: AnnealingConfig,
    random: torch.Generator,
) -> Path:
    """The path for `images` [B, C, H, W], from `local` or the prior, its step sizes tuned."""
    zero = torch.zeros_like(local[0])
    start = local if config.start == "local" else (zero, zero)
    at = target(log_weight(model, images, *start))
    return Path(start, at, tune(at, start[0], config.temperatures, config.leapfrog, random))


def walk(path: Path, config: AnnealingConfig, random: torch.Generator) -> tuple[Tensor, float]:
    """log w [C, B] of forward chains, and their mean acceptance."""
    u = normal(random, path.start[0], config.chains, *path.start[0].shape)
    return anneal(path.at, u, path.schedule, config.leapfrog, random)


def two_sided(
    model: LatentModel,
    images: Tensor,
    z: Tensor,
    config: LaboratoryConfig,
    random: torch.Generator,
) -> dict[str, Any]:
    """Both bounds on `images` that the model made of `z`: how far off the lower one is."""
    local = local_posterior(model, images, config.local, random)
    path = find_path(model, images, local, config.annealing, random)
    forward, acceptance = walk(path, config.annealing, random)
    mu, logvar = path.start
    u = ((z - mu) * (-0.5 * logvar).exp()).expand(config.annealing.chains, -1, -1)
    backward, _ = anneal(
        path.at, u, path.schedule, config.annealing.leapfrog, random, backward=True
    )
    lower, upper = lower_bound(forward), upper_bound(backward)
    return {
        "images": len(images),
        "lower": over_images(lower),
        "upper": over_images(upper),
        "gap": over_images(upper - lower),
        "acceptance": acceptance,
    }


def annealing(
    model: LatentModel, images: Tensor, config: LaboratoryConfig, seed: int
) -> dict[str, Any]:
    """log p(x) of `images` [B, C, H, W] by AIS, and the gap to it, taken apart.

    Both posteriors, the encoder's and the local one, are judged on the same draws u, so that most
    of their noise is common. The error of `log_p` is that of annealing alone; all others are those
    over images, the error of the same log p(x) in `log_p_over_images` among them.
    """
    random = stream(seed, "annealing")
    local = local_posterior(model, images, config.local, random)
    path = find_path(model, images, local, config.annealing, random)
    log_w, acceptance = walk(path, config.annealing, random)
    log_p = lower_bound(log_w)
    weights = (log_w - log_p).exp()  # over their mean
    error = float((weights.var(dim=0) / len(weights)).sum().sqrt()) / len(images)
    with torch.no_grad():
        encoder = model.encode(images)
        u = normal(random, encoder[0], config.local.final_draws, *encoder[0].shape)
        best, amortised = (
            torch.cat([log_weight(model, images, *q)(some[None]) for some in u]).double().mean(0)
            for q in (local, encoder)
        )
    return {
        "images": len(images),
        "log_p": Estimate(float(log_p.mean()), error)._asdict(),
        "acceptance": acceptance,
        "elbo": over_images(amortised),
        "log_p_over_images": over_images(log_p),
        "gap": over_images(log_p - amortised),
        "approximation_gap": over_images(log_p - best),
        "amortisation_gap": over_images(best - amortised),
    }
