"""The stage `explore`: figures of a run's latent space, and how plainly classes lie in it."""

from __future__ import annotations

import numpy as np

from genlab.data.arrays import Split, fair_share
from genlab.evaluation.linear_probe import linear_probe
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.devices import pick_device
from genlab.models.latents import ACTIVE, as_encoder, encode
from genlab.results.layout import RunFolder
from genlab.results.origin import run_origin, write_measured
from genlab.sampling.latents import MAX_IMAGES, LatentSpace
from genlab.tracking.record import leave_record
from genlab.workflow.figures import save_figures
from genlab.workflow.models import load_trained


def explore(run: RunFolder, *, cpu: bool = False) -> None:
    """Write the figures of the run's latent space, and what their rows show as latents.json.

    Raises:
        GenLabError: the family has no latent vector.
    """
    device, origin = pick_device(cpu), run_origin(run)
    model = as_encoder(load_trained(run, device, origin))
    train, held_out = (
        Split(read_array(run.data.images(split)), read_array(run.data.labels(split)))
        for split in ("train", "test")
    )
    names = read_json(run.data.manifest)["classes"]
    space = LatentSpace.encode(model, train, held_out, names, device)
    probe = _linear_probe(space)
    summary, figures = space.summary(), space.figures()
    # Remove figures of an earlier call: one that no longer applies would look up to date.
    for path in run.latent_figures.glob("*"):
        path.unlink()
    paths = save_figures(run.latent_figures, figures)
    description = run.latents / "latents.json"
    facts = {name: figure.facts for name, figure in figures.items()}
    write_measured(description, {**summary, "linear_probe": probe, **facts}, origin)
    metrics = {"active_latents": float(summary["active"])}
    if probe is not None:
        metrics["linear_probe"] = probe
    leave_record(run, "explore", metrics=metrics, artifacts=[*sorted(paths), description])


def _linear_probe(space: LatentSpace) -> float | None:
    """Accuracy of a linear classifier of the latents, on at most MAX_IMAGES held-out images.

    These are drawn at random, since the file may be sorted by class.
    """
    subset = np.sort(fair_share(len(space.held_out.images))[:MAX_IMAGES])
    latents = encode(space.model, space.held_out.images[subset], space.device)
    labels = np.array(space.held_out.labels[subset])
    train = (space.latents.double().numpy(), space.classes.numpy())
    return linear_probe(train, (latents.double().numpy(), labels), ACTIVE)
