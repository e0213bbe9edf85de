"""The stage `elbo`: the bound of a trained VAE in parts, on held-out images."""

from __future__ import annotations

from typing import Any, cast

from genlab.config.elbo_study import ElboStudyConfig
from genlab.errors import GenLabError
from genlab.evaluation.elbo.randomness import random_images
from genlab.evaluation.elbo.vae import decompose_elbo, images_needed
from genlab.io.arrays import read_array
from genlab.models.batches import to_float
from genlab.models.devices import pick_device
from genlab.models.vae import VAE
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.results.spec import read_run
from genlab.tracking.record import leave_record
from genlab.workflow.models import load_trained


def elbo(run: RunFolder, config: ElboStudyConfig, *, cpu: bool = False) -> None:
    """Decompose the ELBO of a trained VAE on held-out images; write elbo.json.

    Raises:
        GenLabError: the model is no VAE.
    """
    spec = read_run(run.config)
    if not spec.model.posterior:
        raise GenLabError(
            f"{run.config}: model.family: '{spec.model.family}' has no Gaussian posterior q(z|x), "
            "so it has no ELBO to decompose"
        )
    device, origin = pick_device(cpu), run_origin(run)
    model = cast(VAE, load_trained(run, device, origin).requires_grad_(False))
    pixels = random_images(read_array(run.data.images("test")), "test", images_needed(config))
    content = decompose_elbo(model, to_float(pixels.to(device)), config, spec.seed)
    write_measured(run.elbo, content, origin)
    leave_record(run, "elbo", metrics=_headline(content))


def _headline(content: dict[str, Any]) -> dict[str, float]:
    """The numbers worth comparing between runs."""
    parts = content["decomposition"]
    names = ("reconstruction", "mutual_information", "total_correlation", "dimension_wise_kl")
    return {
        **{f"elbo_{name}": parts[name]["value"] for name in names},
        "elbo_gap": content["annealing"]["gap"]["value"],
        "elbo_two_sided_gap": content["simulated"]["gap"]["value"],
    }
