"""The section on samples: a grid of samples for each row, and two grids side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from genlab.config.evaluators import CALIBRATION
from genlab.data.pictures import GRID
from genlab.io.arrays import read_array
from genlab.report.league import NO_SAMPLER, readable
from genlab.report.pictures import picture
from genlab.report.sections import Section
from genlab.report.standings import best_rows
from genlab.report.study import ReportedStudy

MOST = 60
"""Rows of a study above which only the best row of each model is shown."""
COLUMNS = 8
"""Images in a row of a grid."""
SMALL_GRID = 16
"""Images in a grid where there are more than MOST grids."""
ROW = ["dataset", "model", "seed", "sampler"]


class SamplesSection(Section):
    """Grid of samples for each row of the league."""

    title = "Samples"
    order = 50
    introduction = (
        "The first samples of each row, without selection, for the first seed. Sample <i>i</i> "
        "depends on the seed and on <i>i</i> alone, so rows of models on a Gaussian path with the "
        "same shape of noise start from the same noise."
    )

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        rows = study.league[study.league["sampler"] != NO_SAMPLER].drop_duplicates(ROW)
        of_models = rows["model"] != CALIBRATION
        rows = rows[~of_models | (rows["seed"] == study.settings.seeds[0])]
        best = best_rows(study)
        names = [
            (str(row["dataset"]), str(row["model"]), str(row["sampler"]))
            for _, row in rows.iterrows()
        ]
        shown = [i for i, name in enumerate(names) if name in best or len(rows) <= MOST]
        images = GRID if len(shown) <= MOST else SMALL_GRID
        grids = [_grid(study, rows.iloc[i], images) | {"first": names[i] in best} for i in shown]
        return {"grids": grids, "others": len(rows) - len(grids)}


def _grid(study: ReportedStudy, row: Any, images: int) -> dict[str, Any]:
    """The grid of a row of the league, its title and a note below."""
    run = study.folder.run(str(row["dataset"]), str(row["model"]), int(row["seed"]))
    calibration = row["model"] == CALIBRATION
    evaluations = readable(row["evaluations"], "evaluations")
    unit = "network evaluation" if evaluations == "1" else "network evaluations"
    fid = f"FID {readable(row['fid'], 'fid')} ({row['extractor']})"
    note = f"{row['dataset']}, seed {row['seed']}: {fid}"
    title = f"{row['sampler']} images" if calibration else f"{row['model']} · {row['sampler']}"
    samples = np.asarray(read_array(run.samples(str(row["sampler"])).samples)[:images])
    return {
        "title": title,
        "note": note if calibration else f"{note}, {evaluations} {unit} per sample",
        "row": f"{title} ({row['dataset']}, seed {row['seed']})",
        "picture": picture(samples, COLUMNS, f"{len(samples)} samples: {title}"),
    }
