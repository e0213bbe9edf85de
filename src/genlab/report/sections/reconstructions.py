"""The section on reconstructions: held-out images beside what a model makes of them."""

from __future__ import annotations

from typing import Any

from genlab.report.figures import data_uri
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy, read_run_file, run_label
from genlab.results.layout import RunFolder


def _pairs(run: RunFolder) -> dict[str, Any]:
    picture = data_uri((run.reconstructions / "pairs.png").read_bytes())
    measurements = read_run_file(run, run.reconstructions / "metrics.json")
    return {"title": run_label(run), "picture": picture, **measurements}


class ReconstructionsSection(Section):
    """Held-out images and their reconstructions."""

    title = "Reconstructions"
    order = 70
    introduction = "Held-out images, each followed by its reconstruction."

    def applies(self, study: ReportedStudy) -> bool:
        return bool(study.runs_where(lambda family: family.reconstructs))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        runs = study.pictured(lambda family: family.reconstructs)
        return {"pairs": [_pairs(run) for run in runs]}
