"""Numbers of images that are compared."""

from __future__ import annotations

from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values


class ImageCounts(FeatureMetric):
    """Generated and reference images."""

    columns = (
        Column("samples", "N", over_seeds=False),
        Column("reference_images", "reference N", over_seeds=False),
    )
    order = 90
    needs = ("samples",)
    explanation = "Numbers of samples and of training images that the metrics of a row compare."

    def compute(self, comparison: Comparison) -> Values:
        samples, reference_images = map(len, comparison.features)
        return {"samples": samples, "reference_images": reference_images}
