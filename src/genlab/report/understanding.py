"""What the page says of latents and bounds: sections that only some studies have."""

from __future__ import annotations

import base64
import collections
from typing import Any

import pandas as pd

from genlab.config.families import FamilyConfig
from genlab.config.families.vae import VAEOptions
from genlab.config.layout import RunFolder, StudyFolder
from genlab.data.files import read_json
from genlab.report.elbo_figures import bound_curves, elbo_parts, gradient_spread, ppca_bounds
from genlab.report.figures import rate_distortion
from genlab.report.latent_figures import importance_matrix


def embedded(picture: bytes, kind: str = "png") -> str:
    """A picture as a data address."""
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode()


def label(run: RunFolder) -> str:
    """A run by the names of its model and its data, and its seed."""
    return f"{run.model_name} on {run.dataset}, {run.folder.name.replace('seed', 'seed ')}"


Families = dict[str, FamilyConfig]
"""What the study's models are, by their names."""


def latent_space(runs: list[RunFolder], families: Families) -> list[dict[str, Any]]:
    """The walks through the latent space of each run that has one."""
    found = []
    for run in runs:
        if not families[run.model_name].encodes:
            continue
        content = read_json(run.latents / "latents.json")
        pictures = {
            kind: embedded((run.latents / f"{kind}.png").read_bytes())
            for kind in ("traversals", "interpolation", "attributes")
            if kind in content
        }
        film = run.latents / "traversals.gif"
        found.append(
            {
                "title": label(run),
                "content": content,
                "pictures": pictures,
                "film": "traversals" in content and embedded(film.read_bytes(), "gif"),
            }
        )
    return found


def disentangled(runs: list[RunFolder], families: Families) -> list[dict[str, Any]]:
    """MIG and DCI of each VAE on data of known factors."""
    found = [
        (run, read_json(run.disentanglement))
        for run in runs
        if families[run.model_name].posterior and read_json(run.data.manifest).get("factors")
    ]
    return [
        {"title": label(run), "picture": embedded(importance_matrix(content)), **content}
        for run, content in found
    ]


def rates(runs: list[RunFolder], families: Families) -> str | None:
    """Rate against distortion on the held-out images: a panel for each p(x|z) of several VAEs."""
    points: list[dict[str, Any]] = []
    for run in runs:
        family, losses = families[run.model_name], read_json(run.summary)["held_out"]
        if isinstance(family, VAEOptions):
            group = f"{run.dataset}, {family.likelihood_name}"
            point = {"rate": losses["kl"], "distortion": losses["distortion"]}
            points.append({"model": run.model_name, "group": group, **point})
    groups = collections.Counter(point["group"] for point in points)
    shown = [point for point in points if groups[point["group"]] > 1]
    return embedded(rate_distortion(pd.DataFrame(shown))) if shown else None


def laboratory(
    study: StudyFolder, datasets: list[str], runs: list[RunFolder], families: Families
) -> dict[str, Any]:
    """What the ELBO laboratory found, on probabilistic PCA and on each VAE."""
    known = []
    for dataset in datasets:
        at = study.laboratory(dataset)
        ppca = read_json(at / "ppca.json")
        pictures = [ppca_bounds(ppca), gradient_spread(read_json(at / "gradients.json"))]
        figures = [embedded(picture) for picture in pictures]
        known.append({"dataset": dataset, "ppca": ppca, "pictures": figures})
    vaes = {label(run): read_json(run.elbo) for run in runs if families[run.model_name].posterior}
    figures = [embedded(elbo_parts(vaes)), embedded(bound_curves(vaes))] if vaes else []
    return {"known": known, "vaes": vaes, "figures": figures}
