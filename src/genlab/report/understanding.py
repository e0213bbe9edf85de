"""What the page says of latents, bounds and paths: sections that only some studies have."""

from __future__ import annotations

import base64
import collections
from typing import Any

import pandas as pd

from genlab.config.families import FamilyConfig
from genlab.config.families.vae import VAEOptions
from genlab.config.study import load_sampler
from genlab.io.files import read_json
from genlab.report.elbo_figures import bound_curves, elbo_parts, gradient_spread, ppca_bounds
from genlab.report.figures import rate_distortion
from genlab.report.latent_figures import importance_matrix
from genlab.report.path_figures import (
    COSTS,
    bound_terms,
    guidance_sweep,
    path_rows,
    quality_against,
    round_trips,
    sampler_matrix,
    step_curves,
    two_bounds,
)
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import data_origin, read_measured, run_origin


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
        content = read_measured(run.latents / "latents.json", run_origin(run))
        pictures = {
            kind: embedded((run.latent_figures / f"{kind}.png").read_bytes())
            for kind in ("traversals", "interpolation", "attributes")
            if kind in content
        }
        film = run.latent_figures / "traversals.gif"
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
        (run, read_measured(run.disentanglement, run_origin(run)))
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
        family = families[run.model_name]
        losses = read_measured(run.summary, run_origin(run))["held_out"]
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
        origin = data_origin(study.data(dataset))
        ppca, gradients = (
            read_measured(at / f"{name}.json", origin) for name in ("ppca", "gradients")
        )
        pictures = [ppca_bounds(ppca), gradient_spread(gradients)]
        figures = [embedded(picture) for picture in pictures]
        known.append({"dataset": dataset, "ppca": ppca, "pictures": figures})
    vaes = {
        label(run): read_measured(run.elbo, run_origin(run))
        for run in runs
        if families[run.model_name].posterior
    }
    figures = [embedded(elbo_parts(vaes)), embedded(bound_curves(vaes))] if vaes else []
    return {"known": known, "vaes": vaes, "figures": figures}


def walks(runs: list[RunFolder], families: Families) -> dict[str, Any]:
    """The walks between noise and image of each run on a Gaussian path; empty if there is none."""
    walked = [run for run in runs if families[run.model_name].generates == "gaussian"]
    found: list[dict[str, Any]] = []
    for run in walked:
        content = read_measured(run.walks / "walks.json", run_origin(run))
        pictures = {
            kind: embedded((run.walk_figures / f"{kind}.png").read_bytes()) for kind in content
        }
        film = embedded((run.walk_figures / "denoising.gif").read_bytes(), "gif")
        found.append({"title": label(run), "content": content, "pictures": pictures, "film": film})
    if not found:
        return {}
    errors = {walk["title"]: walk["content"]["inversion"]["rows"] for walk in found}
    return {"runs": found, "round_trips": embedded(round_trips(errors))}


def crossing(league: pd.DataFrame, content: dict[str, Any]) -> dict[str, Any]:
    """Samplers against models, cost, steps and guidance: those figures that have much to show.

    Args:
        content: of study.yaml.
    """
    samplers = {row: load_sampler(values, row) for row, values in content["samplers"].items()}
    extractor = content["evaluation"]["extractors"][0]
    rows = path_rows(league, samplers, extractor)
    figures: dict[str, bytes] = {}
    if rows["place"].nunique() > 1 and rows["sampler"].nunique() > 1:
        figures["matrix"] = sampler_matrix(rows)
    plain = rows[rows["guidance"] == 1]
    swept = plain[_several(plain, ["place", "line"], "budget")]
    if len(swept):
        lines = plain[plain["line"].isin(swept["line"])].dropna(subset=["steps"])
        figures |= {cost: quality_against(plain, cost) for cost in COSTS}
        if len(lines):  # an adaptive sampler takes no number of steps
            figures["steps"] = step_curves(lines)
    guided = rows[_several(rows, ["place", "line", "budget"], "guidance")]
    if len(guided):
        figures["guidance"] = guidance_sweep(guided)
    return {
        "extractor": extractor,
        "figures": {name: embedded(picture) for name, picture in figures.items()},
    }


def _several(rows: pd.DataFrame, alike: list[str], differs: str) -> pd.Series[bool]:
    """Which rows belong to a group, `alike` in these columns, with several values of `differs`."""
    return rows.groupby(alike)[differs].transform("nunique") > 1


def path_bounds(runs: list[RunFolder], families: Families) -> dict[str, str]:
    """Bits/dim of the same weights by ELBO and ODE, and the terms of the bound, where measured."""
    measured = {
        label(run): read_measured(run.likelihood, run_origin(run))
        for run in runs
        if {"elbo", "ode"} <= set(families[run.model_name].likelihoods)
    }
    terms = {name: found["terms"] for name, found in measured.items() if "terms" in found}
    figures = {"bounds": two_bounds(measured)} if measured else {}
    if terms:
        figures["terms"] = bound_terms(terms)
    return {name: embedded(picture) for name, picture in figures.items()}
