"""What the page says of models that take prompts."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from genlab.io.arrays import read_array
from genlab.report.prompt_figures import guidance_curves, ranking_curves
from genlab.report.understanding import Families, embedded
from genlab.results.layout import RunFolder
from genlab.results.origin import read_measured, run_origin

SHARES = ("subject", "all")


def _name(run: RunFolder) -> str:
    """A run among those on the same data."""
    return f"{run.model_name}, {run.folder.name.replace('seed', 'seed ')}"


def _picture(pixels: NDArray[np.uint8]) -> str:
    """uint8 [C, H, W] as the address of a PNG."""
    file = BytesIO()
    image = pixels.transpose(1, 2, 0)
    Image.fromarray(image[..., 0] if len(pixels) == 1 else image).save(file, format="PNG")
    return embedded(file.getvalue())


def _sheet(run: RunFolder, name: str) -> str:
    """One of the pictures that the stage `prompts` drew."""
    return embedded((run.prompt_figures / f"{name}.png").read_bytes())


def _grid(found: dict[RunFolder, dict[str, Any]]) -> dict[str, Any]:
    """A line for each prompt, with the picture that was kept of each run."""
    kept = {run: read_array(run.kept) for run in found}
    prompts = next(iter(found.values()))["shown"]
    return {
        "heads": [_name(run) for run in found],
        "rows": [
            {
                "kind": asked["kind"],
                "prompt": asked["prompt"],
                "cells": [
                    {"picture": _picture(kept[run][i]), "right": content["shown"][i]["right"]}
                    for run, content in found.items()
                ],
            }
            for i, asked in enumerate(prompts)
        ],
    }


def _table(found: dict[RunFolder, dict[str, Any]]) -> dict[str, Any]:
    """Shares right, before and after ranking, of seen and unseen prompts; real images first."""
    first = next(iter(found.values()))
    names, several = first["factors"], len(first["factors"]) > 1
    whole = list(SHARES) if several else []
    rows = [
        {
            "run": "real images", "of": kind, "which": "as they are", "guidance": None,
            "shares": [measured[name] for name in whole]
            + [measured["factors"][name] for name in names],
            "clip_score": None,
        }
        for kind, measured in first["judge"].items()
    ]  # fmt: skip
    for run, content in found.items():
        for kind, scales in content["kinds"].items():
            scale = scales[content["chosen"]]
            ends = {"any candidate": 0}
            if content["candidates"] > 1:
                ends[f"best of {content['candidates']}"] = -1
            rows += [
                {
                    "run": _name(run), "of": kind, "which": which, "guidance": scale["guidance"],
                    "shares": [scale[name][end] for name in whole]
                    + [scale["factors"][name][end] for name in names],
                    "clip_score": scale["clip_score"][end],
                }
                for which, end in ends.items()
            ]  # fmt: skip
    return {"heads": [*whole, *names], "rows": rows}


def _points(found: dict[RunFolder, dict[str, Any]]) -> pd.DataFrame:
    """A row for each run, kind of prompt, guidance scale and number of candidates."""
    rows = [
        {
            "run": _name(run), "kind": kind, "n": n, "guidance": scale["guidance"],
            "chosen": scale is scales[content["chosen"]],
        } | {name: scale[name][i] for name in (*SHARES, "clip_score")}
        for run, content in found.items()
        for kind, scales in content["kinds"].items()
        for scale in scales
        for i, n in enumerate(content["counts"])
    ]  # fmt: skip
    return pd.DataFrame(rows)


def prompted(runs: list[RunFolder], families: Families) -> list[dict[str, Any]]:
    """What each data set's models drew when they were asked; empty where none takes prompts."""
    taking = [run for run in runs if families[run.model_name].takes_prompts]
    sections = []
    for dataset in dict.fromkeys(run.dataset for run in taking):
        found = {
            run: read_measured(run.prompts / "prompts.json", run_origin(run))
            for run in taking
            if run.dataset == dataset
        }
        points, first = _points(found), next(iter(found.values()))
        figures = (
            {"ranking": ranking_curves(points[points["chosen"]])} if points["n"].max() > 1 else {}
        )
        if points["guidance"].nunique() > 1:
            figures["guidance"] = guidance_curves(points)
        sections.append({
            "dataset": dataset,
            "clip": first["clip"],
            "judge": first["judge"],
            "subject": first["subject"] if len(first["factors"]) > 1 else [],
            "grid": _grid(found),
            "table": _table(found),
            "figures": {name: embedded(picture) for name, picture in figures.items()},
            "sheets": {_name(run): _sheet(run, "candidates") for run in found},
            "attention": [
                {"run": _name(run), "prompt": prompt, "picture": _sheet(run, f"attention-{kind}")}
                for run, content in found.items()
                for kind, prompt in content["attention"].items()
            ],
        })  # fmt: skip
    return sections
