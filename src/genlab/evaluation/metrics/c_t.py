"""C_T (Meehan, Chaudhuri & Dasgupta 2020, arXiv:2004.05675), in features."""

from __future__ import annotations

from genlab.evaluation.memorisation.copying import c_t_of
from genlab.evaluation.memorisation.neighbours import feature_space
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values


class DataCopying(FeatureMetric):
    """z score of the distances to the nearest training image, against held-out images."""

    columns = (Column("c_t", "C_T", interval=True, reference="both"),)
    order = 55
    needs = ("samples", "features")
    explanation = (
        "Distances to the nearest training image, of samples against held-out images: the z scores "
        "of a Mann-Whitney test within cells of the feature space, averaged. 0 is a model that is "
        "as near to the training images as new real images are. Strongly negative values mean "
        "copies, or samples that are blurred and thus near to everything. The interval has 95 %."
    )

    def compute(self, comparison: Comparison) -> Values:
        if comparison.held_out is None or len(comparison.held_out["features"]) < 2:
            return self.nothing()
        generated, training = comparison.features
        space = feature_space(training, comparison.held_out["features"])
        result = c_t_of(space, space.neighbours(generated), space.cells(generated))
        return self.nothing() if result is None else result.columns("c_t")
