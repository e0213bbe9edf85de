"""Classifier accuracy score (Ravuri & Vinyals 2019, arXiv:1905.10887)."""

from __future__ import annotations

import numpy as np

from genlab.data.randomness import generator
from genlab.evaluation.accuracy_score import COMPONENTS, accuracy, components
from genlab.evaluation.intervals import IntervalEstimate, share_interval
from genlab.evaluation.metrics import Cells, Column, RowComparison, RowMetric, RowRecord, RowValues

NOT_REQUESTED = "no classes requested"


class ClassifierAccuracy(RowMetric):
    """Accuracy on held-out images after training on samples, and on as many real images."""

    columns = (
        Column("classifier_accuracy", "CAS", better="higher", interval=True, reference="held-out"),
        Column(
            "classifier_accuracy_real", "CAS of real images", over_seeds=False, reference="held-out"
        ),
    )
    order = 47
    needs = ("samples", "classes")
    explanation = (
        "Classifier accuracy score: the accuracy on the held-out images of a classifier that is "
        "trained on the samples, with the classes they were requested to be of. “CAS of real "
        "images” is the same after training on as many training images, the value of a perfect "
        f"model. The classifier is a logistic regression on {COMPONENTS} principal components of "
        "the pixels, not a ResNet as in the paper, so it sees wrong classes, wrong shapes and "
        "missing variety more than fine detail. The interval is Wilson's, over the held-out images."
    )

    def compute(self, row: RowComparison) -> RowValues:
        labels, held_out_labels = row.training_labels, row.held_out_labels
        if row.requested is None or row.held_out is None or held_out_labels is None:
            return self.nothing()
        if labels is None or (classes := int(labels.max()) + 1) < 2:
            return self.nothing()
        space, test = components(row.training), (row.held_out, held_out_labels)
        count = min(len(row.generated), len(row.training))
        chosen = generator("classifier accuracy score").choice(
            len(row.training), count, replace=False
        )
        chosen = np.sort(chosen)
        score = accuracy((row.generated, row.requested), test, space, classes)
        estimate = IntervalEstimate(score, *share_interval(score, len(row.held_out)))
        return {
            **estimate.columns("classifier_accuracy"),
            "classifier_accuracy_real": accuracy(
                (row.training[chosen], labels[chosen]), test, space, classes
            ),
        }

    def read(self, row: RowRecord) -> Cells:
        values = {name: row.measured[name] for name in self.names}
        return {name: NOT_REQUESTED if value is None else value for name, value in values.items()}
