"""The section with a quiz: which of two images is real?"""

from __future__ import annotations

from itertools import cycle, islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.io.arrays import read_array
from genlab.report.figures import data_uri, sheet_png
from genlab.report.league import NO_SAMPLER
from genlab.report.sections import Section
from genlab.report.standings import best_rows
from genlab.report.study import ReportedStudy

ROUNDS = 20
SIDE = 112
"""Pixels of the side of a picture, about."""


class QuizSection(Section):
    """Pairs of a held-out image and a sample."""

    title = "Which one is real?"
    order = 55
    introduction = (
        "Each round shows a held-out image and a sample of one of the models, from the best row of "
        "each. Choose the real one. A model whose samples you can't tell from real images lets you "
        "score one half."
    )

    def applies(self, study: ReportedStudy) -> bool:
        return any(sampler != NO_SAMPLER for _, _, sampler in best_rows(study))

    def read(self, study: ReportedStudy) -> dict[str, Any]:
        rows = sorted(row for row in best_rows(study) if row[2] != NO_SAMPLER)
        random = np.random.default_rng(0)
        rounds = [_round(study, row, random) for row in islice(cycle(rows), ROUNDS)]
        return {"rounds": rounds, "side": SIDE}


def _round(
    study: ReportedStudy, row: tuple[str, str, str], random: np.random.Generator
) -> dict[str, Any]:
    """Two pictures, which of them is real, and who drew the other one."""
    dataset, model, sampler = row
    run = study.folder.run(dataset, model, study.settings.seeds[0])
    samples = read_array(run.samples(sampler).samples)
    held_out = read_array(study.folder.data(dataset).images("test"))
    sample = _picture(samples[random.integers(len(samples))])
    real = _picture(held_out[random.integers(len(held_out))])
    first = bool(random.integers(2))
    return {
        "pictures": [real, sample] if first else [sample, real],
        "real": 0 if first else 1,
        "row": f"{model} · {sampler}",
    }


def _picture(image: NDArray[np.uint8]) -> str:
    """An image [C, H, W] as a data URI."""
    return data_uri(sheet_png(np.asarray(image)[None], 1, image.shape[-1], gap=0))
