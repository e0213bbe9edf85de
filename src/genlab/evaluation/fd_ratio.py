"""FDr: the Frechet distance in several feature spaces, as multiples of that of real images.

    log FDr = 1/S sum_s log (FD_s(samples, real) / FD_s(other real images, real))

over S spaces. A Frechet distance has a scale of its own in each space and grows as the number of
images falls; dividing by the distance between as many real images removes both. So 1 is what real
images reach, and no single space, which a model could be tuned on (arXiv:2604.28190), decides. The
mean is the geometric one: ratios of a hundred in one space and of two in another are usual, and an
arithmetic mean would be that of the first space alone.

Where there are fewer other real images than samples, only that many samples are compared, the first
ones: more of them would have a smaller distance, and perfect samples would score far below 1.

The real images are held out: distances to the training images reward learning them by heart. A row
that was made from held-out images, as some calibration rows are, is measured against the training
images instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genlab.data.randomness import generator
from genlab.evaluation.intervals import Estimate, frechet_estimate

Array = NDArray[np.float32]
SUBSETS = 4
"""Disjoint subsets of other real images that the distance of real images is averaged over, at most:
the division adds little noise then."""


@dataclass(frozen=True)
class Ratio:
    """A row in one or several spaces."""

    value: float
    of_samples: NDArray[np.float64]
    """[N], influence of each sample on `value`."""
    of_reference: NDArray[np.float64]
    """[M], influence of each real image on `value`."""

    @property
    def log_sampling(self) -> float:
        """Standard deviation of log(value) over sampling seeds."""
        return float(self.of_samples.std()) / math.sqrt(len(self.of_samples)) / self.value


def real_distance(reference: Array, others: Array, count: int) -> float | None:
    """Return the Frechet distance of `count` other real images.

    Args:
        reference: features [M, F] of the real images that rows are measured against.
        others: features [K, F] of other real images, of which disjoint subsets are taken.
        count: images of each row that are compared, at most K.

    Returns:
        The mean over the subsets; None where there are too few images.
    """
    order = generator("distance of real images").permutation(len(others))
    subsets = [order[i : i + count] for i in range(0, len(others) - count + 1, count)]
    estimates = [frechet_estimate(others[subset], reference) for subset in subsets[:SUBSETS]]
    values = [estimate.value for estimate in estimates if estimate is not None]
    return float(np.mean(values)) if len(values) == len(estimates) else None


def ratio(estimate: Estimate, real: float) -> Ratio:
    """Return a Frechet distance divided by that of real images, which is taken as exact."""
    return Ratio(estimate.value / real, estimate.of_samples / real, estimate.of_reference / real)


def mean_ratio(ratios: Mapping[str, Ratio]) -> Ratio:
    """Return FDr, the geometric mean over spaces: the influences on its logarithm are means."""
    parts = list(ratios.values())
    value = float(np.exp(np.mean([np.log(part.value) for part in parts])))
    return Ratio(
        value,
        value * np.mean([part.of_samples / part.value for part in parts], axis=0),
        value * np.mean([part.of_reference / part.value for part in parts], axis=0),
    )
