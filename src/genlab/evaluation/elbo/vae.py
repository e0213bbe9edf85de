"""The bound of a trained VAE in parts: KL terms, IWAE-K, log p(x) by AIS, and the gap's parts.

The images are those that the model trains on, x / 255 on [0, 1] or black and white, and the numbers
are those of its own p(x|z): a density of x for a Gaussian, a probability of grey values for a
logistic, of black and white for a Bernoulli (on grey values, its p(x|z) is not normalised).
Nats are therefore comparable between models of one likelihood only; across likelihoods, compare the
league's bits/dim.

Numbers are in nats per image unless they say otherwise. Estimates are {value, error}, where error
is one standard error. `images` is the number of images that a part averages over, the first ones
of the images given. Images differ, so only numbers of the same images compare.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlab.config.elbo_study import AnnealingConfig, DecompositionConfig, ElboStudyConfig
from genlab.data.randomness import address
from genlab.evaluation.elbo.ais import Schedule, anneal, lower_bound, tune, upper_bound
from genlab.evaluation.elbo.bounds import Estimate, estimate, iwae_curve, over_images
from genlab.evaluation.elbo.decomposition import decompose
from genlab.evaluation.elbo.hmc import Target, make_target
from genlab.evaluation.elbo.local import local_posterior
from genlab.evaluation.elbo.randomness import STUDY, normal, stream
from genlab.models.vae import VAE, LatentModel, log_weight
from genlab.nn.densities import gaussian_kl

BATCH = 250  # images decoded at a time; random numbers do not depend on it
Posterior = tuple[Tensor, Tensor]
"""mu, logvar [B, L]."""


class AnnealingPath(NamedTuple):
    """The path of AIS from the Gaussian `start` to p(x, z), in coordinates u relative to it."""

    start: Posterior
    target: Target
    schedule: Schedule


def images_needed(config: ElboStudyConfig) -> int:
    """The number of images that the parts of `decompose_elbo` average over at most."""
    return max(config.decomposition.images, config.bounds.images, config.annealing.images)


def decompose_elbo(
    model: VAE, images: Tensor, config: ElboStudyConfig, seed: int
) -> dict[str, Any]:
    """All parts of the bound of a trained VAE.

    Args:
        model: its parameters need no gradients.
        images: float32 [N, C, H, W] on [0, 1].
        seed: seed of the run, for random numbers of its own.
    """
    torch.manual_seed(address(STUDY, "observed"))
    images = model.binarised(images)
    bound_images = images[: config.bounds.images]
    torch.manual_seed(address(STUDY, seed, "bounds"))
    log_weights = model.log_weights(bound_images, config.bounds.draws)
    return {
        "likelihood": model.config.variant,
        "discrete": model.likelihood.discrete,
        "decomposition": decomposition(
            model,
            images[: config.decomposition.images],
            config.decomposition,
            stream(seed, "decomposition"),
        ),
        "bounds": {
            "images": len(bound_images),
            "draws": len(log_weights),
            "curve": iwae_curve(log_weights, config.bounds.samples),
        },
        "annealing": annealing(model, images[: config.annealing.images], config, seed),
        "simulated": simulated(model, images, config, stream(seed, "simulated")),
    }


@torch.no_grad()
def decomposition(
    model: LatentModel, images: Tensor, config: DecompositionConfig, random: torch.Generator
) -> dict[str, Any]:
    """ELBO = reconstruction - KL over `images` [N, C, H, W], and the terms of the KL.

    The error of the ELBO is that over images; the errors of the other numbers are those of the
    draws alone.
    """
    encoded = [model.encode(batch) for batch in torch.split(images, BATCH)]
    mu, logvar = (torch.cat(values) for values in zip(*encoded, strict=True))
    log_likelihoods = []
    for _ in range(config.draws):
        z = mu + (0.5 * logvar).exp() * normal(random, mu, *mu.shape)
        pairs = zip(torch.split(images, BATCH), torch.split(z, BATCH), strict=True)
        log_likelihoods.append(
            torch.cat([model.log_likelihood(x, model.decode(batch)) for x, batch in pairs])
        )
    reconstruction = torch.stack(log_likelihoods).double()  # [S, N]
    return {
        "images": len(images),
        "elbo": over_images(reconstruction.mean(dim=0) - gaussian_kl(mu, logvar).sum(dim=1)),
        "reconstruction": estimate(reconstruction)._asdict(),
        **decompose(mu, logvar, config.draws, random),
    }


def annealing_path(
    model: LatentModel,
    images: Tensor,
    local: Posterior,
    config: AnnealingConfig,
    random: torch.Generator,
) -> AnnealingPath:
    """The path for `images` [B, C, H, W] from `local` or the prior, with tuned step sizes."""
    zero = torch.zeros_like(local[0])
    start = local if config.start == "local" else (zero, zero)
    target = make_target(log_weight(model, images, *start))
    schedule = tune(target, start[0], config.temperatures, config.leapfrog, random)
    return AnnealingPath(start, target, schedule)


def forward_chains(
    path: AnnealingPath, config: AnnealingConfig, random: torch.Generator
) -> tuple[Tensor, float]:
    """log w [C, B] of forward chains, and their mean acceptance."""
    u = normal(random, path.start[0], config.chains, *path.start[0].shape)
    return anneal(path.target, u, path.schedule, config.leapfrog, random)


def two_sided(
    model: LatentModel,
    images: Tensor,
    z: Tensor,
    config: ElboStudyConfig,
    random: torch.Generator,
) -> dict[str, Any]:
    """Bounds from both sides on log p(x) of `images` [B, C, H, W] sampled from p(x|z).

    Their difference limits the error of the lower one.
    """
    local = local_posterior(model, images, config.local, random)
    path = annealing_path(model, images, local, config.annealing, random)
    forward, acceptance = forward_chains(path, config.annealing, random)
    mu, logvar = path.start
    u = ((z - mu) * (-0.5 * logvar).exp()).expand(config.annealing.chains, -1, -1)
    backward, _ = anneal(
        path.target, u, path.schedule, config.annealing.leapfrog, random, backward=True
    )
    lower, upper = lower_bound(forward), upper_bound(backward)
    return {
        "images": len(images),
        "lower": over_images(lower),
        "upper": over_images(upper),
        "gap": over_images(upper - lower),
        "acceptance": acceptance,
    }


def simulated(
    model: VAE, like: Tensor, config: ElboStudyConfig, random: torch.Generator
) -> dict[str, Any]:
    """`two_sided` on images sampled from the model, on the device of `like`."""
    z = normal(random, like, config.annealing.simulated, model.config.latent)
    with torch.no_grad():
        images = model.likelihood.draw(model.decode(z), random)
    return two_sided(model, images, z, config, random)


def annealing(
    model: LatentModel, images: Tensor, config: ElboStudyConfig, seed: int
) -> dict[str, Any]:
    """log p(x) of `images` [B, C, H, W] by AIS, and the two parts of the gap to the ELBO.

    The encoder's posterior and the local one are evaluated on the same draws u, so most of the
    noise cancels in their difference. The error of `log_p` is that of annealing alone; all other
    errors are those over images, including that of the same log p(x) in `log_p_over_images`.
    """
    random = stream(seed, "annealing")
    local = local_posterior(model, images, config.local, random)
    path = annealing_path(model, images, local, config.annealing, random)
    log_w, acceptance = forward_chains(path, config.annealing, random)
    log_p = lower_bound(log_w)
    weights = (log_w - log_p).exp()  # relative to their mean
    error = float((weights.var(dim=0) / len(weights)).sum().sqrt()) / len(images)
    with torch.no_grad():
        encoder = model.encode(images)
        u = normal(random, encoder[0], config.local.final_draws, *encoder[0].shape)
        best, amortised = (
            torch.cat([log_weight(model, images, *q)(draw[None]) for draw in u]).double().mean(0)
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
