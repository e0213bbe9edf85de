"""Kernel inception distance (Binkowski et al. 2018, arXiv:1801.01401, section 4)."""

from __future__ import annotations

from genlab.config.study import EvaluationConfig
from genlab.evaluation.metrics import Column, Comparison, FeatureMetric, Values


class KID(FeatureMetric):
    """Mean and standard deviation over subsets; a subset is no larger than the smaller set."""

    columns = (
        Column("kid", "KID", better="lower"),
        Column("kid_std", "KID std", over_seeds=False),
    )
    order = 20
    needs = ("samples", "features")
    class_rank = 1
    explanation = (
        "Squared maximum mean discrepancy of the same features under a cubic kernel, averaged over "
        "{kid_subsets} subsets of {kid_subset_size} images; KID std is the standard deviation over "
        "the subsets. Its expectation does not depend on the number of samples, unlike that of FID."
    )

    def compute(self, comparison: Comparison) -> Values:
        import torch
        from torch_fidelity.metric_kid import kid_features_to_metric

        generated, real = comparison.features
        result = kid_features_to_metric(
            torch.from_numpy(generated).double(),
            torch.from_numpy(real).double(),
            kid_subsets=comparison.config.kid_subsets,
            kid_subset_size=min(comparison.config.kid_subset_size, len(generated), len(real)),
            verbose=False,
        )
        return {
            "kid": result["kernel_inception_distance_mean"],
            "kid_std": result["kernel_inception_distance_std"],
        }

    def requirements(self, dimensions: int, config: EvaluationConfig) -> dict[str, int]:
        return {f"kid_subset_size {config.kid_subset_size}": config.kid_subset_size}
