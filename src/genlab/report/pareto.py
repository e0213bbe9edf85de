"""The Pareto front of quality and cost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def on_front(cost: NDArray[np.float64], quality: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points [N] lie on the Pareto front, where lower is better for both.

    A point does unless another one is as good at both and better at one.
    """
    as_good = (cost <= cost[:, None]) & (quality <= quality[:, None])  # [N, N], column beats row
    better = (cost < cost[:, None]) | (quality < quality[:, None])
    return np.array([not beaten.any() for beaten in as_good & better])
