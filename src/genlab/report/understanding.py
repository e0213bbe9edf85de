"""What the page says of latents and bounds: sections that only some studies have."""

from __future__ import annotations

import base64
from typing import Any

import pandas as pd

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


def latent_space(runs: list[RunFolder]) -> list[dict[str, Any]]:
    """The walks through the latent space of each run that has one."""
    found = []
    for run in runs:
        description = run.latents / "latents.json"
        if not description.exists():
            continue
        content = read_json(description)
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


def disentangled(runs: list[RunFolder]) -> list[dict[str, Any]]:
    """MIG and DCI of each run on data of known factors."""
    found = [(run, read_json(run.disentanglement)) for run in runs if run.disentanglement.exists()]
    return [
        {"title": label(run), "picture": embedded(importance_matrix(content)), **content}
        for run, content in found
    ]


def rates(runs: list[RunFolder], models: dict[str, Any]) -> str | None:
    """Rate against distortion on the held-out images, where at least two runs have both.

    Args:
        models: what the study says of each model, by name.
    """
    points = [
        {
            "model": run.model_name,
            "group": f"{run.dataset}, {models[run.model_name]['model']['likelihood']}",
            "rate": losses["kl"],
            "distortion": losses["distortion"],
        }
        for run in runs
        for losses in [read_json(run.summary)["held_out"]]
        if {"kl", "distortion"} <= losses.keys()
    ]
    return embedded(rate_distortion(pd.DataFrame(points))) if len(points) > 1 else None


def laboratory(study: StudyFolder, datasets: list[str], runs: list[RunFolder]) -> dict[str, Any]:
    """What the ELBO laboratory found, on probabilistic PCA and on each VAE."""
    known, wanted = [], study.laboratory_config.exists()
    for dataset in datasets:
        at = study.laboratory(dataset)
        if wanted and (at / "ppca.json").exists():
            ppca = read_json(at / "ppca.json")
            pictures = [ppca_bounds(ppca), gradient_spread(read_json(at / "gradients.json"))]
            figures = [embedded(picture) for picture in pictures]
            known.append({"dataset": dataset, "ppca": ppca, "pictures": figures})
    vaes = {label(run): read_json(run.elbo) for run in runs if wanted and run.elbo.exists()}
    figures = [embedded(elbo_parts(vaes)), embedded(bound_curves(vaes))] if vaes else []
    return {"known": known, "vaes": vaes, "figures": figures}
