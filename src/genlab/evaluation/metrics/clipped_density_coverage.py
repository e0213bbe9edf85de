"""Clipped density and clipped coverage (Salvy et al. 2025, arXiv:2507.01761)."""

from __future__ import annotations

from genlab.config.study import EvaluationConfig
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values
from genlab.evaluation.neighbours import clipped_coverage, clipped_density

NEIGHBOURS = 5  # the paper's k


class ClippedDensityCoverage(FeatureMetric):
    """Density and coverage that read as the share of good samples."""

    columns = (
        Column("clipped_density", "clipped density", better="higher", interval=True),
        Column("clipped_coverage", "clipped coverage", better="higher", interval=True),
    )
    order = 42
    needs = ("samples", "features")
    explanation = (
        "Density and coverage in which no image counts for more than one, calibrated so that a "
        "value reads as a share of good samples: 0.7 is the value of a set with 70 % real images "
        "and 30 % of images that resemble none. Clipped density asks whether samples look real, "
        "clipped coverage whether they are as varied as the training images. Both are 1 at most, "
        "and a perfect model of this many samples may fall a few hundredths short of it. Neither "
        "notices samples that are copies of training images. The intervals are those of the "
        "jackknife over samples and training images, of clipped density over samples alone."
    )

    def compute(self, comparison: Comparison) -> Values:
        density = clipped_density(*comparison.features, NEIGHBOURS)
        coverage = clipped_coverage(*comparison.features, NEIGHBOURS)
        return density.columns("clipped_density") | coverage.columns("clipped_coverage")

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        return {f"{NEIGHBOURS} neighbours of clipped density and coverage": NEIGHBOURS + 2}
