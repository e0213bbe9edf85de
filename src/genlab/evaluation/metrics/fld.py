"""Feature likelihood divergence (Jiralerspong et al. 2023, arXiv:2302.04440)."""

from __future__ import annotations

from genlab.evaluation.memorisation.likelihood import fld
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values


class FLD(FeatureMetric):
    """Negative log-likelihood of held-out images under Gaussians around the samples."""

    columns = (Column("fld", "FLD", better="lower", interval=True, reference="both"),)
    order = 12
    needs = ("samples", "features")
    explanation = (
        "Gaussians around the samples, of widths that fit the training images, score the held-out "
        "images: their negative log-likelihood in hundredths of a nat per feature, less that of "
        "as many Gaussians around training images. It is about 0 for a perfect model, and punishes "
        "bad, missing and copied samples alike. Where there are more samples than half of the "
        "training images, only the first ones are used, as many as that half. The row “real” "
        "consists of the very images that are scored, so its FLD is far below 0. The 95 % interval "
        "is that of the finite held-out set."
    )

    def compute(self, comparison: Comparison) -> Values:
        if comparison.held_out is None:
            return self.nothing()
        result = fld(*comparison.features, comparison.held_out["features"])
        return self.nothing() if result is None else result.columns("fld")
