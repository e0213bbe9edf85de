"""AuthPct (Alaa et al. 2022, arXiv:2102.08921), in features."""

from __future__ import annotations

from genlab.evaluation.memorisation.copying import authenticity
from genlab.evaluation.memorisation.neighbours import feature_space
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values


class Authenticity(FeatureMetric):
    """Share of samples that are no nearer to a training image than its own neighbour is."""

    columns = (Column("authenticity", "AuthPct", unit="%", interval=True, reference="training"),)
    order = 56
    needs = ("samples", "features")
    explanation = (
        "Share of samples that are farther from their nearest training image than that image is "
        "from its own nearest neighbour in the training set. Copies lower it, and so do blurred "
        "samples; compare it with the row “real”. The interval has 95 %."
    )

    def compute(self, comparison: Comparison) -> Values:
        if comparison.held_out is None or len(comparison.training["features"]) < 3:
            return self.nothing()
        generated, training = comparison.features
        space = feature_space(training, comparison.held_out["features"])
        return authenticity(space, space.neighbours(generated)).columns("authenticity")
