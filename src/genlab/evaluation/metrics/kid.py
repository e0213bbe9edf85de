"""Kernel inception distance (Binkowski et al. 2018, arXiv:1801.01401, section 4)."""

from __future__ import annotations

from genlab.config.study import EvaluationConfig
from genlab.evaluation.intervals import MOST_REAL, IntervalEstimate, kid_estimate, subset
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values


class KID(FeatureMetric):
    """Unbiased squared maximum mean discrepancy of all samples under a cubic kernel."""

    columns = (Column("kid", "KID", better="lower", interval=True),)
    order = 20
    needs = ("samples", "features")
    class_rank = 1
    explanation = (
        "Squared maximum mean discrepancy between all samples and the training images under a "
        "cubic kernel of the same features. Its expectation does not depend on the number of "
        "samples, unlike that of FID, so the 95 % interval is that of infinitely many images; "
        "a value below 0 says that no difference was measured. "
        f"Larger training sets are represented by {MOST_REAL:,} random images, or by as many as "
        "there are samples if these are more."
    )

    def compute(self, comparison: Comparison) -> Values:
        generated, real = comparison.features
        estimate = kid_estimate(
            generated, subset(real, max(MOST_REAL, len(generated)), "kernel distance")
        )
        return IntervalEstimate(estimate.value, estimate.low, estimate.high).columns("kid")

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        return {"KID": 2}
