"""Precision and recall (Kynkaanniemi et al. 2019, arXiv:1904.06991, section 3)."""

from __future__ import annotations

import numpy as np

from genlab.config.study import EvaluationConfig
from genlab.evaluation.intervals import (
    MOST_REAL,
    Estimate,
    IntervalEstimate,
    share_interval,
    without_excess,
)
from genlab.evaluation.metrics import Array, Column, Comparison, FeatureMetric, Values
from genlab.evaluation.neighbours import (
    Neighbourhoods,
    blocks,
    neighbourhoods,
    real_neighbourhoods,
    squared_distances,
)
from genlab.evaluation.root_trace import Float


def precision_recall(generated: Array, real: Array, neighbours: int) -> tuple[Estimate, Estimate]:
    """Precision and recall of features [N, F] against those of real images [M, F]."""
    real_images = real_neighbourhoods(real, neighbours, len(generated))
    samples = neighbourhoods(generated, neighbours)
    covered_generated, change_real = _coverage(samples.features, real_images)
    covered_real, change_generated = _coverage(real_images.features, samples)
    precision = Estimate(
        float(covered_generated.mean()), float(covered_generated.mean()),
        of_samples=covered_generated - covered_generated.mean(), of_reference=change_real,
    )  # fmt: skip
    recall = Estimate(
        float(covered_real.mean()), float(covered_real.mean()),
        of_samples=change_generated, of_reference=covered_real - covered_real.mean(),
    )  # fmt: skip
    return precision, recall


def _coverage(points: Float, centres: Neighbourhoods) -> tuple[Float, Float]:
    """Which points [N, F] lie in a ball around a centre [M, F] up to its k-th nearest neighbour.

    Returns:
        1 for each point in a ball and 0 for each other one, [N]; the influence of each centre on
        their share, [M]: without it, its ball is gone and those of its neighbours grow.
    """
    m = len(centres.features)
    radius, next_radius = centres.squared[:, -2], centres.squared[:, -1]
    nearest = centres.neighbours[:, :-1]
    covered, change, pairs = np.zeros(len(points)), np.zeros(m), 0
    for block in blocks(len(points)):
        squares = squared_distances(points[block], centres.features)  # [B, M]
        inside = squares <= radius
        count = inside.sum(axis=1)
        covered[block] = count > 0
        # Pairs (point, centre): the only ball of a point; balls that reach a point when they grow.
        single = np.flatnonzero(count == 1)
        only = inside[single].argmax(axis=1)
        fragile = np.flatnonzero(count <= 1)
        i, j = np.nonzero((squares[fragile] <= next_radius) & ~inside[fragile])
        # Pairs (point, centre without which it is reached), each once.
        reached = np.unique((fragile[i, None] * m + nearest[j]).ravel())
        lost = np.setdiff1d(single * m + only, reached, assume_unique=True)
        gained = reached[count[reached // m] == 0]
        change += np.bincount(gained % m, minlength=m) - np.bincount(lost % m, minlength=m)
        pairs += len(lost) + len(gained)
    # The squares of `change` hold the noise of which points happen to lie at the rims.
    influence = -(m - 1) * change / len(points)
    return covered, without_excess(influence, pairs / len(points) ** 2)


class PrecisionRecall(FeatureMetric):
    """Shares of images that lie on the manifold of the other set."""

    columns = (
        Column("precision", "precision", better="higher", interval=True),
        Column("recall", "recall", better="higher", interval=True),
    )
    order = 40
    needs = ("samples", "features")
    explanation = (
        "Precision is the share of samples whose features lie near those of a training image, "
        "recall the share of training images whose features lie near those of a sample. Near means "
        "within the distance of that image to its nearest neighbour number {neighbours} in its own "
        "set. "
        f"Larger training sets are represented by {MOST_REAL:,} random images, or by as many as "
        "there are samples if these are more. Both depend on the numbers of images; a 95 % "
        "interval contains the mean over repetitions with as many samples and training images."
    )

    def compute(self, comparison: Comparison) -> Values:
        precision, recall = precision_recall(*comparison.features, comparison.config.neighbours)
        values: Values = {}
        for column, estimate, n, sd in (
            (self.columns[0], precision, len(precision.of_samples), precision.sd_reference),
            (self.columns[1], recall, len(recall.of_reference), recall.sd_samples),
        ):
            ends = share_interval(estimate.value, n, sd)
            values |= IntervalEstimate(estimate.value, *ends).columns(column.name)
        return values

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        return {f"{config.neighbours} neighbours": config.neighbours + 1}
