"""The stages of the ELBO laboratory: `laboratory` on a data set, `take_apart` on a trained VAE.

Both write numbers alone, as JSON; the report draws them. Estimates are {value, error}, error being
one standard error; all of them are in nats for each image unless they say otherwise. Each part
says in `images` how many images it is the mean of: the first ones of one random order of the
held-out images. Images differ, so only numbers of the same images compare.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from genlab.config.elbo_study import GradientsConfig, LaboratoryConfig, PPCAConfig
from genlab.data.randomness import address, generator
from genlab.errors import GenLabError
from genlab.evaluation.elbo.bounds import estimate, iwae_curve, normal
from genlab.evaluation.elbo.gradients import exact_gradient, gradient_estimates, spread
from genlab.evaluation.elbo.ppca import (
    PPCA,
    Gaussian,
    Spectrum,
    mean_field,
    shifted,
    spectrum,
    widened,
)
from genlab.evaluation.elbo.vae import annealing, decomposition, over_images, stream, two_sided
from genlab.evaluation.likelihood import bits_per_dim, dequantised
from genlab.io.arrays import read_array
from genlab.models.batches import to_float
from genlab.models.devices import pick_device
from genlab.models.store import load_model
from genlab.models.vae import VAE
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import data_origin, run_origin, write_measured
from genlab.results.spec import read_run
from genlab.tracking.record import leave_record


def some_images(study: StudyFolder, dataset: str, split: str, n: int) -> Tensor:
    """uint8 [min(n, N), C, H, W]: n of the split, spread over it at random, the same every time."""
    images = read_array(study.data(dataset).images(split))
    which = generator("laboratory", split).permutation(len(images))[:n]
    return torch.from_numpy(images[which])


def posteriors(model: PPCA, x: Tensor, config: PPCAConfig) -> dict[str, Gaussian]:
    """The exact p(z|x) of x [B, D], and three that are wrong in ways that are known."""
    exact = model.posterior(x)
    return {
        "exact posterior": exact,
        "mean field": mean_field(exact),
        f"shifted by {config.shift:g} std": shifted(exact, config.shift),
        f"{config.widen:g} times as wide": widened(exact, config.widen),
    }


def compare_bounds(model: PPCA, x: Tensor, config: PPCAConfig, name: str) -> dict[str, Any]:
    """ELBO, its gap and IWAE-K of x [B, D] with one of the `posteriors`."""
    exact, q = model.posterior(x), posteriors(model, x, config)[name]
    log_p, kl = model.log_density(x), q.kl(exact)
    gap, by_cubature = log_p - model.elbo(x, q), log_p - model.elbo_by_cubature(x, q)
    random, (draws, block) = stream("ppca", name), (config.bounds.draws, 1000)
    log_weights = torch.cat(
        [
            model.log_weight(x, q, normal(random, x, min(block, draws - i), *q.mean.shape))
            for i in range(0, draws, block)
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


def ppca(data: Spectrum, x: Tensor, config: PPCAConfig) -> dict[str, Any]:
    """Probabilistic PCA of `data` on held-out x [N, D]: log p(x), and every bound of it."""
    model = PPCA.fit(data, config.latent, stream("rotation", config.latent))
    few, log_p = x[: config.bounds.images], model.log_density(x)
    names = posteriors(model, few, config)
    return {
        "latent": config.latent,
        "sigma": model.variance**0.5,
        "held_out": len(x),
        "held_out_log_p": over_images(log_p),
        "held_out_bits_per_dim": over_images(bits_per_dim(log_p, x.shape[1])),
        "images": len(few),
        "draws": config.bounds.draws,
        "log_p": float(log_p[: len(few)].mean()),
        "posteriors": [compare_bounds(model, few, config, name) for name in names],
    }


def gradients(data: Spectrum, x: Tensor, config: GradientsConfig) -> dict[str, Any]:
    """The spread of gradient estimates for one image x [1, D], at two places, for several L."""
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
            found = spread(gradient_estimates(model, x, q, u), exact_gradient(model, x, q))
            rows += [
                {"latent": latent, "place": place, "estimator": name, **numbers}
                for name, numbers in found.items()
            ]
    return {"samples": config.samples, "estimates": config.estimates, "rows": rows}


def laboratory(
    study: StudyFolder, dataset: str, config: LaboratoryConfig, *, cpu: bool = False
) -> None:
    """Fit probabilistic PCA to the dequantised training images; write bounds and gradients.

    Raises:
        GenLabError: more latent dimensions than the images have, or images too large.
    """
    device, origin = pick_device(cpu), data_origin(study.data(dataset))
    train, test = (
        dequantised(some_images(study, dataset, split, n).to(device), 0).flatten(1).double()
        for split, n in (("train", config.ppca.train_images), ("test", config.ppca.held_out))
    )
    for problem in config.problems(train.shape[1], len(train)):
        raise GenLabError(f"laboratory: {dataset}: {problem}")
    data = spectrum(train)
    folder = study.laboratory(dataset)
    of_ppca = {"train": len(train), **ppca(data, test, config.ppca)}
    write_measured(folder / "ppca.json", of_ppca, origin)
    of_gradients = gradients(data, test[:1], config.gradients)
    write_measured(folder / "gradients.json", of_gradients, origin)


def take_apart(run: RunFolder, config: LaboratoryConfig, *, cpu: bool = False) -> None:
    """Take the bound of a trained VAE apart on held-out images; write elbo.json.

    Raises:
        GenLabError: the model is no VAE.
    """
    spec = read_run(run.config)
    if not spec.model.posterior:
        raise GenLabError(
            f"{run.config}: model.family: '{spec.model.family}' has no Gaussian posterior q(z|x), "
            "so there is no bound to take apart"
        )
    device, seed, origin = pick_device(cpu), spec.seed, run_origin(run)
    model = cast(VAE, load_model(run, device, origin).requires_grad_(False))
    wanted = max(config.decomposition.images, config.bounds.images, config.annealing.images)
    images = to_float(some_images(run.study, run.dataset, "test", wanted).to(device))
    torch.manual_seed(address("laboratory", "observed"))
    images = model.binarised(images)
    parts, bounds = images[: config.decomposition.images], images[: config.bounds.images]
    torch.manual_seed(address("laboratory", seed, "bounds"))
    log_weights = model.log_weights(bounds, config.bounds.draws)
    content = {
        "likelihood": model.config.variant,
        "discrete": model.likelihood.discrete,
        "decomposition": decomposition(
            model, parts, config.decomposition, stream(seed, "decomposition")
        ),
        "bounds": {
            "images": len(bounds),
            "draws": len(log_weights),
            "curve": iwae_curve(log_weights, config.bounds.samples),
        },
        "annealing": annealing(model, images[: config.annealing.images], config, seed),
        "simulated": _simulated(model, images, config, stream(seed, "simulated")),
    }
    write_measured(run.elbo, content, origin)
    leave_record(run, "elbo", metrics=_headline(content))


def _simulated(
    model: VAE, like: Tensor, config: LaboratoryConfig, random: torch.Generator
) -> dict[str, Any]:
    """The two-sided check on images that the model makes now, where `like` is."""
    z = normal(random, like, config.annealing.simulated, model.config.latent)
    with torch.no_grad():
        images = model.likelihood.draw(model.decode(z), random)
    return two_sided(model, images, z, config, random)


def _headline(content: dict[str, Any]) -> dict[str, float]:
    """The numbers worth comparing between runs."""
    parts = content["decomposition"]
    names = ("reconstruction", "mutual_information", "total_correlation", "dimension_wise_kl")
    found = {f"elbo_{name}": parts[name]["value"] for name in names}
    found["elbo_gap"] = content["annealing"]["gap"]["value"]
    found["elbo_two_sided_gap"] = content["simulated"]["gap"]["value"]
    return found
