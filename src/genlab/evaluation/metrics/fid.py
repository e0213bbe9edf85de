"""Frechet inception distance (Heusel et al. 2017, arXiv:1706.08500, equation 6)."""

from __future__ import annotations

from genlab.config.study import EvaluationConfig
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


class FID(FeatureMetric):
    """Frechet distance of the features."""

    columns = (Column("fid", "FID", better="lower"),)
    order = 10
    needs = ("samples", "features")
    class_rank = 2
    explanation = (
        "Fréchet distance between two Gaussians, fitted by torch-fidelity to the features of "
        "{samples:,} samples of a row, rounded to 8 bits, and of the training images. It depends "
        "on the extractor and on the number of samples: compare it within this table, never with "
        "the FID of another extractor or with a table of another N."
    )

    def compute(self, comparison: Comparison) -> Values:
        return {"fid": frechet(*comparison.features)}

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        return {f"{dimensions} feature dimensions": dimensions}
