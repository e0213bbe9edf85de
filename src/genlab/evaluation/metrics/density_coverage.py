"""Density and coverage (Naeem et al. 2020, arXiv:2002.09797)."""

from __future__ import annotations

from genlab.config.study import EvaluationConfig
from genlab.evaluation.intervals import MOST_REAL
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values
from genlab.evaluation.neighbours import density_coverage

NEIGHBOURS = 5  # the paper's k


class DensityCoverage(FeatureMetric):
    """Samples in balls around training images: how many, and in how many of the balls."""

    columns = (
        Column("density", "density", better="higher", over_seeds=False, interval=True),
        Column("coverage", "coverage", better="higher", interval=True),
    )
    order = 41
    needs = ("samples", "features")
    explanation = (
        f"A ball around each training image reaches to its {NEIGHBOURS}th nearest other training "
        "image. Density is the number of balls that a sample lies in, divided by the number "
        f"{NEIGHBOURS} that is expected of a perfect model; it exceeds 1 where samples keep to the "
        "centre of the data. Coverage is the share of balls that hold a sample. A perfect model "
        "reaches less than 1 if there are fewer samples than training images, so compare rows of "
        "the same numbers only. Unlike precision, density hardly changes with a few outliers among "
        "the training images. The intervals are those of the jackknife over samples and training "
        f"images. Of more than {MOST_REAL:,} training images, so many random ones are used."
    )

    def compute(self, comparison: Comparison) -> Values:
        density, coverage = density_coverage(*comparison.features, NEIGHBOURS)
        return density.columns("density") | coverage.columns("coverage")

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        return {f"{NEIGHBOURS} neighbours of density and coverage": NEIGHBOURS + 2}
