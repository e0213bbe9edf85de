"""The section on memorisation: whether samples copy training images, in numbers and pictures."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genlab.config.evaluators import CALIBRATION
from genlab.data.pictures import SIDE
from genlab.evaluation.memorisation.neighbours import Neighbours, PixelSpace
from genlab.io.arrays import read_array
from genlab.report.figures import data_uri, sheet_png
from genlab.report.league import MEASURED, NO_SAMPLER, cell_text
from genlab.report.sections import Section
from genlab.report.standings import best_rows
from genlab.report.study import ReportedStudy
from genlab.results.layout import SampleFolder

Images = NDArray[np.uint8]
MOST = 1000
"""Images of a row, the first ones, that the pictures are chosen from."""
MANY = 8
"""Most rows with pictures: the search for a row takes most of a second."""
PAIRS = 8
OF_ROW = ("copying", "copies", "pixel_c_t", "pixel_authenticity")
OF_EXTRACTOR = ("c_t", "authenticity", "fld")
ROW = ["dataset", "model", "seed", "sampler"]


def pairs(images: Images, neighbours: Neighbours, training: Images) -> bytes:
    """Draw the images of the smallest d_1 / d_2 above their nearest training images, as a PNG file.

    Args:
        images: uint8 [N, C, H, W].
        neighbours: their nearest training images.
    """
    chosen = neighbours.ratios.argsort(kind="stable")[:PAIRS]
    nearest = training[neighbours.indices[chosen, 0]]
    return sheet_png(np.concatenate([images[chosen], nearest]), len(chosen), SIDE)


class _Pictures:
    """The pictures of a data set's rows; its held-out images are searched once."""

    def __init__(self, study: ReportedStudy, dataset: str) -> None:
        data = study.folder.data(dataset)
        self.training = read_array(data.images("train"))
        self.held_out = read_array(data.images("test"))[:MOST]
        self.space = PixelSpace(self.training, self.held_out)

    @functools.cached_property
    def control(self) -> str:
        """The held-out images that are nearest to training images, beside those."""
        neighbours = self.space.held_out_neighbours
        return data_uri(pairs(self.held_out, neighbours, self.training))

    def of_row(self, row: SampleFolder) -> str:
        """The samples that are nearest to training images, beside those."""
        samples = read_array(row.samples)[:MOST]
        return data_uri(pairs(samples, self.space.search(samples), self.training))


class MemorisationSection(Section):
    """Verdict, measures of copying and nearest training images of each row."""

    title = "Learnt by heart?"
    order = 15
    introduction = (
        "A model that returns its training images has a perfect Fréchet distance to them. This "
        "audit compares samples with held-out images: how near are both to the training images? "
        "The verdict combines two kinds of test. Is the ratio of the distances to the nearest and "
        "to the second-nearest training image too small, as for copies of whole images? Are parts "
        "of samples nearer to training than to held-out images? "
        "<em>real</em> shows what held-out images score."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return not study.league[study.league["sampler"] != NO_SAMPLER].empty

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        league = study.league[study.league["sampler"] != NO_SAMPLER]
        pictures = {name: _Pictures(study, name) for name in study.settings.datasets}
        columns = [MEASURED[name] for name in OF_ROW + OF_EXTRACTOR]
        return {
            "heads": [column.head for column in columns],
            "rows": [_cells(row) for _, row in league.iterrows()],
            "pictures": [
                _pictures(study, pictures, row)
                for _, row in self._pictured(study, league.drop_duplicates(ROW)).iterrows()
            ],
            "controls": {name: picture.control for name, picture in pictures.items()},
            "pairs": PAIRS,
            "most": MOST,
        }

    def _pictured(self, study: ReportedStudy, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the first seed; of many, those that are best of their model, at most MANY."""
        own = rows[(rows["model"] != CALIBRATION) & (rows["seed"] == study.settings.seeds[0])]
        if len(own) <= MANY:
            return own
        best = best_rows(study)
        names = zip(own["dataset"], own["model"], own["sampler"], strict=True)
        return own[[name in best for name in names]].head(MANY)


def _cells(row: Any) -> dict[str, Any]:
    """A line of the table."""
    return {
        "calibration": row["model"] == CALIBRATION,
        "labels": [row[name] for name in ("dataset", "model", "seed", "sampler", "extractor")],
        "cells": [
            {"text": cell_text(row, name), "raw": row[name]} for name in OF_ROW + OF_EXTRACTOR
        ],
    }


def _pictures(study: ReportedStudy, pictures: dict[str, _Pictures], row: Any) -> dict[str, str]:
    """The title, the verdict and the picture of a row."""
    run = study.folder.run(str(row["dataset"]), str(row["model"]), int(row["seed"]))
    return {
        "title": f"{row['model']} · {row['sampler']}",
        "note": f"{row['dataset']}, seed {row['seed']}: {row['copying']}",
        "picture": pictures[str(row["dataset"])].of_row(run.samples(str(row["sampler"]))),
    }
