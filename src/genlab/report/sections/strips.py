"""The section on strips: the predicted clean image at each step of a sampler."""

from __future__ import annotations

from typing import Any

from genlab.report.figures import data_uri
from genlab.report.sections import Section
from genlab.report.standings import best_rows
from genlab.report.study import ReportedStudy, on_path, run_label
from genlab.results.layout import SampleFolder


def _rows(study: ReportedStudy) -> list[SampleFolder]:
    """Return the rows that have a strip: those of samplers that take steps."""
    runs, samplers = study.pictured(on_path), study.settings.samplers
    rows = (run.samples(name) for run in runs for name in samplers)
    return [row for row in rows if row.strip.exists()]


def _name(row: SampleFolder) -> tuple[str, str, str]:
    """Data set, model and sampler."""
    return row.run.dataset, row.run.model_name, row.folder.name


class StripsSection(Section):
    """Predicted clean images along the steps of a sampler."""

    title = "From noise to image"
    order = 80
    introduction = (
        "The clean image that the network predicts at each step, from the first step (left) to the "
        "last (right). Each line is one of four samples."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return bool(_rows(study))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        strips: list[dict[str, Any]] = []
        shown: set[str] = set()
        best = best_rows(study)
        for row in sorted(_rows(study), key=lambda row: _name(row) not in best):
            strips.append(
                {
                    "title": f"{run_label(row.run)}, {row.folder.name}",
                    "picture": data_uri(row.strip.read_bytes()),
                    "first": row.run.model_name not in shown,
                }
            )
            shown.add(row.run.model_name)
        return {"strips": strips}
