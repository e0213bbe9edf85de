"""When a sample is a copy: much nearer to one training image than to any other.

Let d_1 and d_2 be the distances of a sample to its nearest and second-nearest training image. It
counts as a copy if d_1 < COPY_RATIO d_2 (Yoon et al. 2023; Gu et al. 2023, arXiv:2310.02664,
section 2), or if it equals a training image, also where the training set holds that image twice. A
sample that is only near to such a pair has d_1 = d_2 and is not found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COPY_RATIO = 1 / 3
"""A sample with a smaller d_1 / d_2 counts as a copy."""


def distance_ratios(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """d_1 / d_2 in [0, 1] of distances [N, 2], nearest first; 0 where d_1 is 0: [N]."""
    first, second = distances.T
    ratios: NDArray[np.float64] = np.zeros(len(distances))
    np.divide(first, second, out=ratios, where=first > 0)
    return ratios


def copy_mask(ratios: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which samples are copies, by their `distance_ratios` [N]."""
    return ratios < COPY_RATIO
