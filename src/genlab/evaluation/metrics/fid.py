"""Frechet inception distance (Heusel et al. 2017, arXiv:1706.08500, equation 6)."""

from __future__ import annotations

import numpy as np

from genlab.config.study import EvaluationConfig
from genlab.evaluation.intervals import QUANTILE, Estimate, IntervalEstimate, frechet_estimate
from genlab.evaluation.metrics import Array, Column, Comparison, FeatureMetric, Values


def frechet(generated: Array, real: Array) -> float | None:
    """Frechet distance of Gaussians that are fitted to features [N, F] and [M, F].

    None where N or M is below F: the covariances would be singular.
    """
    if min(len(generated), len(real)) < real.shape[1]:
        return None
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    statistics = [
        fid_features_to_statistics(torch.from_numpy(features).double())
        for features in (generated, real)
    ]
    result = fid_statistics_to_metric(*statistics, verbose=False)
    return float(result["frechet_inception_distance"])


def gap(training: Estimate, held_out: Estimate) -> tuple[float, float]:
    """Distance to the held-out images less that to the training images, and half its interval.

    Both are distances of the same samples, so the influences of each sample are subtracted. The
    values without bias are compared, because the two sets of real images differ in size.
    """
    paired = held_out.of_samples - training.of_samples
    variance = paired.var() / len(paired) + training.sd_reference**2 + held_out.sd_reference**2
    return held_out.unbiased - training.unbiased, QUANTILE * float(np.sqrt(variance))


class FID(FeatureMetric):
    """Frechet distances of the features to those of training and of held-out images."""

    columns = (
        Column("fid", "FID", better="lower", interval=True),
        Column("fid_held_out", "FID held-out", better="lower", interval=True, reference="held-out"),
        Column("fid_gap", "FID gap", interval=True, reference="both"),
        Column("fid_inf", "FID∞", better="lower", interval=True, reference="held-out"),
    )
    order = 10
    needs = ("samples", "features")
    class_rank = 2
    explanation = (
        "Fréchet distance between two Gaussians, fitted to the features of {samples:,} samples of "
        "a row, rounded to 8 bits, and of the training images (FID) or of the held-out images "
        "(FID held-out). It depends on the extractor and on the number of samples: compare it "
        "within this table, never with the FID of another extractor or with a table of another N. "
        "FID∞ estimates the distance that infinitely many samples would have to infinitely many "
        "held-out images. FID gap is FID∞ less the same estimate for the training images: a model "
        "that repeats training images has a gap above 0. "
        "The interval of FID and FID held-out contains, at 95 %, the mean over repetitions with "
        "as many images. That of FID∞ and of the gap contains the value of infinitely many."
    )

    def compute(self, comparison: Comparison) -> Values:
        generated, training = comparison.features
        estimate = frechet_estimate(generated, training)
        values = self.nothing() | _plug_in("fid", estimate)
        if estimate is None:  # too few for an interval, perhaps enough for a distance
            values["fid"] = frechet(generated, training)
        if comparison.held_out is None:
            return values
        held_out = frechet_estimate(generated, comparison.held_out["features"])
        if estimate is None or held_out is None:
            return values
        return (
            values
            | _plug_in("fid_held_out", held_out)
            | IntervalEstimate.around(*gap(estimate, held_out)).columns("fid_gap")
            | IntervalEstimate.around(held_out.unbiased, held_out.half_width).columns("fid_inf")
        )

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        return {f"{dimensions} feature dimensions": dimensions}


def _plug_in(name: str, estimate: Estimate | None) -> Values:
    """The plug-in value, with the interval of its expectation; nothing without an estimate."""
    if estimate is None:
        return {}
    return IntervalEstimate.around(estimate.value, estimate.half_width).columns(name)
