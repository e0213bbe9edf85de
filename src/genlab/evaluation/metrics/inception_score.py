"""Inception score (Salimans et al. 2016, arXiv:1606.03498, section 4)."""

from __future__ import annotations

from genlab.evaluation.intervals import IntervalEstimate, mean_interval
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values

TINY = 1e-300
"""Bounds the logarithm of a class that no sample shows."""


class InceptionScore(FeatureMetric):
    """exp E KL(p(y|x), p(y)) by class logits: its mean and standard deviation over splits."""

    columns = (
        Column("inception_score", "IS", better="higher", interval=True),
        Column("inception_score_std", "IS std", over_seeds=False),
    )
    order = 30
    needs = ("samples", "logits")
    explanation = (
        "Inception score over {splits} splits of the samples, by the class logits of the same "
        "extractor. It is high where each sample clearly shows one class and all classes are "
        "equally frequent; it does not look at the training images. The 95 % interval follows from "
        "the influence of each sample on the score and contains the mean over repetitions with as "
        "many samples and splits; IS std is the standard deviation over the splits."
    )

    def compute(self, comparison: Comparison) -> Values:
        import torch
        from torch_fidelity.metric_isc import isc_features_to_metric

        logits = torch.from_numpy(comparison.generated["logits"])
        result = isc_features_to_metric(logits, splits=comparison.config.splits)
        score = result["inception_score_mean"]
        # d IS = IS (mean of KL - KL): the marginal p(y) adds nothing of first order.
        log_p = logits.double().log_softmax(dim=1)
        log_marginal = log_p.exp().mean(dim=0).clamp_min(TINY).log()
        divergence = (log_p.exp() * (log_p - log_marginal)).sum(dim=1).numpy()  # [N]
        ends = mean_interval(score * (divergence - divergence.mean()) + score)
        estimate = IntervalEstimate(score, *ends).columns("inception_score")
        return estimate | {"inception_score_std": result["inception_score_std"]}
