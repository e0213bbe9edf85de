"""Inception score (Salimans et al. 2016, arXiv:1606.03498, section 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.intervals import IntervalEstimate, mean_interval
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values

TINY = 1e-300
"""Bounds the logarithm of a class that no sample shows."""
ORDER_SEED = 2020
"""Seed of the order in which samples are split: torch-fidelity's, so that its scores are equal."""


def divergences(log_p: NDArray[np.float64]) -> NDArray[np.float64]:
    """KL(p(y|x), p(y)) in nats of each sample, [N], from log p(y|x) [N, C]; p(y) is their mean."""
    p = np.exp(log_p)
    log_marginal = np.log(p.mean(axis=0).clip(min=TINY))
    total: NDArray[np.float64] = (p * (log_p - log_marginal)).sum(axis=1)
    return total


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
        from scipy.special import log_softmax

        log_p = log_softmax(comparison.generated["logits"].astype(np.float64), axis=1)
        n, splits = len(log_p), comparison.config.splits
        shuffled = log_p[np.random.RandomState(ORDER_SEED).permutation(n)]
        scores = [
            np.exp(divergences(shuffled[i * n // splits : (i + 1) * n // splits]).mean())
            for i in range(splits)
        ]
        score = float(np.mean(scores))
        # d IS = IS (mean of KL - KL): the marginal p(y) adds nothing of first order.
        divergence = divergences(log_p)
        ends = mean_interval(score * (divergence - divergence.mean()) + score)
        estimate = IntervalEstimate(score, *ends).columns("inception_score")
        return estimate | {"inception_score_std": float(np.std(scores))}
