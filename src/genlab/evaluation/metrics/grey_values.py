"""Differences between the grey values of generated and of held-out images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.jackknife import means_without_one, normal_estimate
from genlab.evaluation.metrics import Column, Images, RowComparison, RowMetric, RowValues


def value_shares(images: Images) -> NDArray[np.float64]:
    """The share of each of the 256 values among those of all pixels and channels, [256]."""
    counts = np.bincount(np.asarray(images).ravel(), minlength=256)
    return np.asarray(counts / counts.sum())


def black_shares(images: Images) -> NDArray[np.float64]:
    """The share of zeros in each image, [N]."""
    return np.asarray((np.asarray(images) == 0).mean(axis=(1, 2, 3)))


class GreyValues(RowMetric):
    """Total variation distance of all values, and the difference in the share of zeros."""

    columns = (
        Column("value_distance", "value distance", better="lower", reference="held-out"),
        Column(
            "excess_zeros", "excess zeros", over_seeds=False, interval=True, reference="held-out"
        ),
    )
    order = 46
    needs = ("samples",)
    explanation = (
        "Value distance is the total variation distance between the 256 values of the samples' "
        "pixels and of the held-out images': the share of pixels whose value would have to change. "
        "Excess zeros is the share of zeros (black) among the samples' values minus that among the "
        "held-out images'. Where 80 % of the real pixels are black and half of those are merely "
        "dark in the samples, it is -0.4; the eye hardly notices. The interval is a normal one "
        "over images. The row “real” consists of held-out images itself, and shows 0."
    )

    def compute(self, row: RowComparison) -> RowValues:
        if row.held_out is None:
            return self.nothing()
        difference = value_shares(row.generated) - value_shares(row.held_out)
        generated, real = black_shares(row.generated), black_shares(row.held_out)
        excess = float(generated.mean() - real.mean())
        estimate = normal_estimate(excess, means_without_one(generated), means_without_one(real))
        return {
            "value_distance": float(np.abs(difference).sum() / 2),
            **estimate.columns("excess_zeros"),
        }
