"""FID, KID, inception score, precision and recall of features, all computed by torch-fidelity."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from genlab.config.study import EvaluationConfig
from genlab.data.randomness import generator
from genlab.errors import GenLabError

Array = NDArray[np.float32]
Features = dict[str, Array]
"""`features` [N, F] and `logits` [N, K] of N images."""
MOST_REAL = 10_000
"""Real images that precision and recall look at, where not more are generated: what they cost grows
with the square of these."""
BLOCK = 1000  # images whose distances to all others are in memory at once


def _doubles(features: Array) -> Tensor:
    return torch.from_numpy(features).double()


def full_rank(generated: Array, real: Array) -> bool:
    """Whether there are enough features [N, F] and [M, F] for covariances of full rank, FID's."""
    return bool(min(len(generated), len(real)) >= real.shape[1])


def frechet(generated: Array, real: Array) -> float:
    """The Frechet distance (FID) of features [N, F] and [M, F]."""
    statistics = [fid_features_to_statistics(_doubles(features)) for features in (generated, real)]
    found = fid_statistics_to_metric(*statistics, verbose=False)
    return float(found["frechet_inception_distance"])


def kernel_distance(generated: Array, real: Array, config: EvaluationConfig) -> tuple[float, float]:
    """KID of features [N, F] and [M, F]: its mean and standard deviation over subsets.

    A subset is as large as the smaller set where `kid_subset_size` asks for more.
    """
    found = kid_features_to_metric(
        _doubles(generated),
        _doubles(real),
        kid_subsets=config.kid_subsets,
        kid_subset_size=min(config.kid_subset_size, len(generated), len(real)),
        verbose=False,
    )
    return found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"]


def precision_recall(generated: Array, real: Array, neighbours: int) -> tuple[float, float]:
    """Precision and recall of features [N, F] by the balls of those of real images [M, F].

    Of real images beyond MOST_REAL and N, so many are drawn at random, always the same.
    """
    most = max(MOST_REAL, len(generated))
    if len(real) > most:
        chosen = generator("precision and recall").choice(len(real), most, replace=False)
        real = real[np.sort(chosen)]
    found = prc_features_to_metric(
        *map(_doubles, (generated, real)), prc_neighborhood=neighbours, prc_batch_size=BLOCK,
        save_cpu_ram=True, verbose=False,
    )  # fmt: skip
    return found["precision"], found["recall"]


def measure(sample: Features, reference: Features, config: EvaluationConfig) -> dict[str, float]:
    """FID, KID, inception score, precision and recall of `sample` against `reference`.

    Raises:
        GenLabError: fewer images than feature dimensions, or than KID's subsets need.
    """
    generated, real = sample["features"], reference["features"]
    for what, features in (("samples", generated), ("reference images", real)):
        n, dimensions = features.shape
        needed = max(dimensions, config.kid_subset_size, config.neighbours + 1)
        if n < needed:
            raise GenLabError(
                f"evaluation: {n} {what} are too few: {dimensions} feature dimensions, "
                f"kid_subset_size {config.kid_subset_size} and {config.neighbours} neighbours "
                f"need at least {needed}"
            )
    kid, kid_std = kernel_distance(generated, real, config)
    precision, recall = precision_recall(generated, real, config.neighbours)
    isc = isc_features_to_metric(torch.from_numpy(sample["logits"]), splits=config.splits)
    return {
        "fid": frechet(generated, real),
        "kid": kid,
        "kid_std": kid_std,
        "inception_score": isc["inception_score_mean"],
        "inception_score_std": isc["inception_score_std"],
        "precision": precision,
        "recall": recall,
    }
