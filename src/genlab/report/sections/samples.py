"""The section on samples: a grid of images for each row of the league."""

from __future__ import annotations

from typing import Any

from genlab.config.evaluators import CALIBRATION
from genlab.report.figures import data_uri
from genlab.report.league import NO_SAMPLER, readable
from genlab.report.sections import Section
from genlab.report.study import ReportedStudy

ROW = ["dataset", "model", "seed", "sampler"]


class SamplesSection(Section):
    """Grid of samples for each row of the league."""

    title = "Samples"
    order = 50
    introduction = (
        "The first 64 samples of each row, without selection. Sample <i>i</i> depends on the seed "
        "and on <i>i</i> alone."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        rows = study.league[study.league["sampler"] != NO_SAMPLER].drop_duplicates(ROW)
        return {"grids": [self._grid(study, row) for _, row in rows.iterrows()]}

    def _grid(self, study: ReportedStudy, row: Any) -> dict[str, Any]:
        run = study.folder.run(str(row["dataset"]), str(row["model"]), int(row["seed"]))
        calibration = row["model"] == CALIBRATION
        evaluations = readable(row["evaluations"], "evaluations")
        unit = "network evaluation" if evaluations == "1" else "network evaluations"
        fid = f"FID {readable(row['fid'], 'fid')} ({row['extractor']})"
        note = f"{row['dataset']}, seed {row['seed']}: {fid}"
        return {
            "title": f"{row['sampler']} images"
            if calibration
            else f"{row['model']} · {row['sampler']}",
            "note": note if calibration else f"{note}, {evaluations} {unit} per sample",
            "picture": data_uri(run.samples(str(row["sampler"])).grid.read_bytes()),
        }
