"""Intervals by the jackknife of two samples (Arvesen 1969, doi:10.1214/aoms/1177697287).

The variance of an estimate from x_1 ... x_N and y_1 ... y_M is that of its values without one x,
plus that of its values without one y. On average it is no smaller than the true variance (Efron &
Stein 1981, doi:10.1214/aos/1176345462): the intervals are rather too wide than too narrow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genlab.evaluation.intervals import QUANTILE, IntervalEstimate

Floats = NDArray[np.float64]


def means_without_one(values: Floats) -> Floats:
    """The means of `values` [N] without element i, [N]."""
    return np.asarray((values.sum() - values) / (len(values) - 1))


def jackknife_variance(without_one: Floats) -> float:
    """(N - 1)/N sum_i (t_i - mean t)^2 of the estimates t_i without element i, [N]."""
    return float(np.square(without_one - without_one.mean()).sum() * (1 - 1 / len(without_one)))


def normal_estimate(value: float, *without_one: Floats) -> IntervalEstimate:
    """The 95 % interval of an estimate whose error is about normal.

    Args:
        without_one: for each of the sets that the value is computed from, the values without one of
            its elements.
    """
    half = QUANTILE * sum(map(jackknife_variance, without_one)) ** 0.5
    return IntervalEstimate.around(value, half)
