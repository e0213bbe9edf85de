"""The learning curves of a study as one table, read once for all sections that show them."""

from __future__ import annotations

import functools

import pandas as pd

from genlab.config.curves import share_name
from genlab.config.study import Study
from genlab.io.files import read_json
from genlab.report.study import ReportedStudy, read_run_file
from genlab.results.layout import RunFolder

QUALITY = {
    "fid_held_out": "FD to held-out images",
    "fid": "FD to training images",
    "kid": "KID",
    "fid_gap": "FD gap",
}
"""Columns that depend on an extractor, and their labels."""


def drawn_models(settings: Study) -> list[str]:
    """The models that have a learning curve."""
    if settings.curves is None:
        return []
    return [name for name, entry in settings.models.items() if entry.samplers(settings.samplers)]


@functools.cache
def learning_curves(study: ReportedStudy) -> pd.DataFrame:
    """A row for each point of each run, in the features of the first extractor.

    Returns:
        Columns dataset, model, seed, row (the sampler's), share, images, seconds, copied, those of
        QUALITY and their spread; images and seconds of a second stage are its own.
    """
    models = drawn_models(study.settings)
    runs = [run for run in study.runs if run.model_name in models]
    return pd.DataFrame([point for run in runs for point in _points(study, run)])


def _points(study: ReportedStudy, run: RunFolder) -> list[dict[str, object]]:
    """The points of one run."""
    cost, curve = read_json(run.cost), read_run_file(run, run.curve)
    extractor = study.settings.evaluation.extractors[0]
    seed = run.folder.name.removeprefix("seed")
    keys = {"dataset": run.dataset, "model": run.model_name, "seed": seed, "row": curve["row"]}
    seconds = cost["seconds_at"] | {share_name(1): cost["train_seconds"]}
    return [
        {
            **keys,
            "share": point["share"],
            "images": point["images"],
            "seconds": seconds[share_name(point["share"])],
            "copied": point["copied"],
            **point["quality"][extractor],
        }
        for point in curve["points"]
    ]
