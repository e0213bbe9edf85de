"""The section on samples: a grid of samples for each row, and two grids side by side."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image

from genlab.config.evaluators import CALIBRATION
from genlab.data.pictures import SIDE, zoom
from genlab.report.figures import data_uri
from genlab.report.league import NO_SAMPLER, readable
from genlab.report.sections import Section
from genlab.report.standings import best_rows
from genlab.report.study import ReportedStudy

MOST = 60
"""Rows of a study above which only the best row of each model is shown."""
THUMBNAIL = 28
"""Pixels of the side of a sample on the page, about."""
ROW = ["dataset", "model", "seed", "sampler"]


class SamplesSection(Section):
    """Grid of samples for each row of the league."""

    title = "Samples"
    order = 50
    introduction = (
        "The first 64 samples of each row, without selection, for the first seed. Sample <i>i</i> "
        "depends on the seed and on <i>i</i> alone, so rows of models on a Gaussian path with the "
        "same shape of noise start from the same noise."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        rows = study.league[study.league["sampler"] != NO_SAMPLER].drop_duplicates(ROW)
        of_models = rows["model"] != CALIBRATION
        rows = rows[~of_models | (rows["seed"] == study.settings.seeds[0])]
        best, grids = best_rows(study), []
        for _, row in rows.iterrows():
            name = str(row["dataset"]), str(row["model"]), str(row["sampler"])
            if name in best or len(rows) <= MOST:
                grids.append(_grid(study, row) | {"first": name in best})
        return {"grids": grids, "others": len(rows) - len(grids)}


def _grid(study: ReportedStudy, row: Any) -> dict[str, Any]:
    """The grid of a row of the league, its title and a note below."""
    run = study.folder.run(str(row["dataset"]), str(row["model"]), int(row["seed"]))
    calibration = row["model"] == CALIBRATION
    evaluations = readable(row["evaluations"], "evaluations")
    unit = "network evaluation" if evaluations == "1" else "network evaluations"
    fid = f"FID {readable(row['fid'], 'fid')} ({row['extractor']})"
    note = f"{row['dataset']}, seed {row['seed']}: {fid}"
    title = f"{row['sampler']} images" if calibration else f"{row['model']} · {row['sampler']}"
    picture = run.samples(str(row["sampler"])).grid.read_bytes()
    side = study.manifests[str(row["dataset"])]["shape"][-1]
    return {
        "title": title,
        "note": note if calibration else f"{note}, {evaluations} {unit} per sample",
        "row": f"{title} ({row['dataset']}, seed {row['seed']})",
        "picture": data_uri(picture),
        # Enlarged by a whole number; the file is for looking closely.
        "width": Image.open(BytesIO(picture)).width // zoom(side, SIDE) * max(1, THUMBNAIL // side),
    }
