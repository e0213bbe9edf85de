"""Images of the calibration rows: held-out real images and uniform noise.

The real images show the best result that a metric can have with this many samples, the noise shows
the result of a model that has learned nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genlab.data.randomness import generator


def fair_share(held_out: int, seed: int = 0) -> NDArray[np.int64]:
    """Return a random order of the held-out images, whose first n represent all of them.

    Their own order may be sorted by class.
    """
    return generator(seed, "calibration", "real").permutation(held_out)


def calibration_images(
    kind: Literal["real", "noise"], held_out: NDArray[np.uint8], seed: int
) -> Iterator[NDArray[np.uint8]]:
    """Yield the images uint8 [C, H, W] of a calibration row.

    Args:
        held_out: real images, uint8 [N, C, H, W]; for noise only their shape matters.

    Yields:
        The N real images, each once, or noise without end.
    """
    if kind == "real":
        for i in fair_share(len(held_out), seed):
            yield held_out[i]
        return
    random = generator(seed, "calibration", kind)
    while True:
        yield random.integers(0, 256, held_out.shape[1:], dtype=np.uint8)
