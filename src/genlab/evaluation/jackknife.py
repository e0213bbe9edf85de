"""Intervals by the jackknife of two samples (Arvesen 1969, doi:10.1214/aoms/1177697287).

The variance of an estimate from x_1 ... x_N and y_1 ... y_M is that of its values without one x,
plus that of its values without one y. On average it is no smaller than the true variance (Efron &
Stein 1981, doi:10.1214/aos/1176345462): the intervals are rather too wide than too narrow.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Z = 1.959964  # 97.5 % of a standard normal variable lie below


class Estimate(NamedTuple):
    """A value, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Estimate:
        """The estimate of `factor` > 0 times the quantity."""
        return Estimate(*(factor * number for number in self))

    def columns(self, name: str) -> dict[str, float | None]:
        """The values of a metric's column `name` and of the ends of its interval."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


def means_without_one(values: Floats) -> Floats:
    """The means of `values` [N] without element i, [N]."""
    return np.asarray((values.sum() - values) / (len(values) - 1))


def jackknife_variance(without_one: Floats) -> float:
    """(N - 1)/N sum_i (t_i - mean t)^2 of the estimates t_i without element i, [N]."""
    return float(np.square(without_one - without_one.mean()).sum() * (1 - 1 / len(without_one)))


def normal_estimate(value: float, *without_one: Floats) -> Estimate:
    """The 95 % interval of an estimate whose error is about normal.

    Args:
        without_one: for each of the sets that the value is computed from, the values without one of
            its elements.
    """
    half = Z * sum(map(jackknife_variance, without_one)) ** 0.5
    return Estimate(value, value - half, value + half)
