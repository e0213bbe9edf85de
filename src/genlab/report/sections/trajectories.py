"""The section on trajectories: sampling, interpolation, inversion and inpainting, in pictures."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from genlab.report.figures import MARKERS, data_uri, png
from genlab.report.sections import Section
from genlab.report.study import FILMS, ReportedStudy, on_path, read_run_file, run_label
from genlab.results.layout import RunFolder


def round_trips(runs: dict[str, list[dict[str, float]]]) -> bytes:
    """Draw the error of image to noise and back against the number of steps.

    Args:
        runs: for each run, by its label, mappings of steps and rmse, pixels on [0, 1].
    """
    figure, axis = plt.subplots(figsize=(6.8, 3.8), layout="constrained")
    for (label, rows), marker in zip(runs.items(), MARKERS * len(runs), strict=False):
        table = pd.DataFrame(rows)
        axis.plot(table["steps"], table["rmse"], marker=marker, ms=6, lw=1.4, label=label)
    ticks = sorted({int(row["steps"]) for rows in runs.values() for row in rows})
    axis.set(xscale="log", yscale="log", xlabel="steps in each direction",
             ylabel="root mean square error")  # fmt: skip
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend(fontsize="small")
    return png(figure)


def _content(run: RunFolder) -> dict[str, Any]:
    return read_run_file(run, run.trajectories / "trajectories.json")


def _trajectories(run: RunFolder, film: bool) -> dict[str, Any]:
    content = _content(run)
    return {
        "title": run_label(run),
        "content": content,
        "pictures": {
            kind: data_uri((run.trajectory_figures / f"{kind}.png").read_bytes())
            for kind in content
        },
        "film": data_uri((run.trajectory_figures / "denoising.gif").read_bytes(), "gif")
        if film
        else None,
    }


class TrajectoriesSection(Section):
    """Pictures of the steps between noise and image, for models on a Gaussian path."""

    title = "Sampling trajectories"
    order = 90
    introduction = (
        "Models on a Gaussian path turn noise into an image step by step. The figures show these "
        "steps, compare samplers, and use the same model to interpolate, to invert and to inpaint "
        "images."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(study.runs_where(on_path))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        runs = study.runs_where(on_path)
        errors = {
            run_label(run): _content(run)["inversion"]["rows"] for run in runs
        }  # fmt: skip
        return {
            "runs": [
                _trajectories(run, i < FILMS) for i, run in enumerate(study.pictured(on_path))
            ],
            "others": len(runs) - len(study.pictured(on_path)),
            "round_trips": data_uri(round_trips(errors)),
        }
