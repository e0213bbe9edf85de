"""Inception score (Salimans et al. 2016, arXiv:1606.03498, section 4)."""

from __future__ import annotations

from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values


class InceptionScore(FeatureMetric):
    """exp E KL(p(y|x), p(y)) by class logits: its mean and standard deviation over splits."""

    columns = (
        Column("inception_score", "IS", better="higher"),
        Column("inception_score_std", "IS std", over_seeds=False),
    )
    order = 30
    needs = ("samples", "logits")
    explanation = (
        "Inception score over {splits} splits of the samples, by the class logits of the same "
        "extractor. It is high where each sample clearly shows one class and all classes are "
        "equally frequent; it does not look at the training images."
    )

    def compute(self, comparison: Comparison) -> Values:
        import torch
        from torch_fidelity.metric_isc import isc_features_to_metric

        logits = torch.from_numpy(comparison.generated["logits"])
        result = isc_features_to_metric(logits, splits=comparison.config.splits)
        return {
            "inception_score": result["inception_score_mean"],
            "inception_score_std": result["inception_score_std"],
        }
