"""The ELBO where log p(x) is known: bounds and gradient estimators on probabilistic PCA.

Numbers are in nats per image unless they say otherwise. Estimates are {value, error}, where error
is one standard error. `images` is the number of images that a part averages over, the first ones
of the held-out images given. Images differ, so only numbers of the same images compare.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genlab.config.elbo_study import GradientsConfig, PPCAConfig
from genlab.evaluation.elbo.bounds import estimate, iwae_curve, over_images
from genlab.evaluation.elbo.gradients import exact_gradient, gradient_estimates, spread
from genlab.evaluation.elbo.ppca import (
    PPCA,
    Gaussian,
    Spectrum,
    mean_field,
    shifted,
    widened,
)
from genlab.evaluation.elbo.randomness import normal, stream
from genlab.evaluation.likelihood import bits_per_dim

BLOCK = 1000  # importance samples at a time


def posteriors(model: PPCA, x: Tensor, config: PPCAConfig) -> dict[str, Gaussian]:
    """The exact p(z|x) of x [B, D], and three approximations with known errors."""
    exact = model.posterior(x)
    return {
        "exact posterior": exact,
        "mean field": mean_field(exact),
        f"shifted by {config.shift:g} std": shifted(exact, config.shift),
        f"{config.widen:g} times as wide": widened(exact, config.widen),
    }


def compare_bounds(model: PPCA, x: Tensor, config: PPCAConfig, name: str) -> dict[str, Any]:
    """ELBO, its gap and IWAE-K on x [B, D] with the approximation `name` of `posteriors`."""
    exact, q = model.posterior(x), posteriors(model, x, config)[name]
    log_p, kl = model.log_density(x), q.kl(exact)
    gap, by_cubature = log_p - model.elbo(x, q), log_p - model.elbo_by_cubature(x, q)
    random, draws = stream("ppca", name), config.bounds.draws
    log_weights = torch.cat(
        [
            model.log_weight(x, q, normal(random, x, min(BLOCK, draws - i), *q.mean.shape))
            for i in range(0, draws, BLOCK)
        ]
    )
    return {
        "posterior": name,
        "elbo": float(model.elbo(x, q).mean()),
        "gap": float(gap.mean()),
        "kl": float(kl.mean()),
        "worst_difference": float((gap - kl).abs().max()),
        "worst_difference_by_cubature": float((by_cubature - kl).abs().max()),
        "gap_of_draws": estimate(log_p - log_weights)._asdict(),
        "bounds": iwae_curve(log_weights, config.bounds.samples),
    }


def study_bounds(data: Spectrum, x: Tensor, config: PPCAConfig) -> dict[str, Any]:
    """Fit probabilistic PCA to `data`; log p(x) and its bounds on held-out x [N, D]."""
    model = PPCA.fit(data, config.latent, stream("rotation", config.latent))
    subset, log_p = x[: config.bounds.images], model.log_density(x)
    names = posteriors(model, subset, config)
    return {
        "latent": config.latent,
        "sigma": model.variance**0.5,
        "held_out": len(x),
        "held_out_log_p": over_images(log_p),
        "held_out_bits_per_dim": over_images(bits_per_dim(log_p, x.shape[1])),
        "images": len(subset),
        "draws": config.bounds.draws,
        "log_p": float(log_p[: len(subset)].mean()),
        "posteriors": [compare_bounds(model, subset, config, name) for name in names],
    }


def study_gradients(data: Spectrum, x: Tensor, config: GradientsConfig) -> dict[str, Any]:
    """The spread of gradient estimates for one image x [1, D], at two q, for several L."""
    rows = []
    for latent in config.latents:
        model = PPCA.fit(data, latent, stream("rotation", latent))
        places = {
            "where training starts, q = p(z)": model.prior(),
            "half a std off the best q": shifted(mean_field(model.posterior(x)), 0.5),
        }
        random = stream("gradients", latent)
        u = normal(random, x, config.estimates, config.samples, 1, latent)
        for place, q in places.items():
            statistics = spread(gradient_estimates(model, x, q, u), exact_gradient(model, x, q))
            rows += [
                {"latent": latent, "place": place, "estimator": name, **numbers}
                for name, numbers in statistics.items()
            ]
    return {"samples": config.samples, "estimates": config.estimates, "rows": rows}
