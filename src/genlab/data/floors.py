"""The stage `floor`: rows that calibrate the table.

Held-out real images say how well a perfect model would do with this many samples, and uniform
noise how badly one that learned nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genlab.data.pictures import GRID, save_grid
from genlab.data.randomness import generator
from genlab.errors import GenLabError
from genlab.io.arrays import array_writer, read_array
from genlab.results.layout import SampleFolder
from genlab.results.origin import row_origin
from genlab.results.spec import read_samples


def fair_share(held_out: int, seed: int = 0) -> NDArray[np.int64]:
    """The order in which held-out images stand for their data: the first n are a fair share.

    They may be stored sorted by class.
    """
    return generator(seed, "floor", "real").permutation(held_out)


def floor(at: SampleFolder) -> None:
    """Write the row's images, drawn from the held-out ones or as noise, and their grid.

    Raises:
        GenLabError: more real images are asked for than are held out.
    """
    spec = read_samples(at.config)
    real = read_array(at.run.data.images("test"))
    if spec.row == "real" and spec.samples > len(real):
        raise GenLabError(
            f"{at.config}: evaluation.samples asks for {spec.samples} images, but "
            f"'{at.run.dataset}' holds out only {len(real)}; ask for fewer, or leave 'real' out "
            "of evaluation.floors"
        )
    random = generator(spec.seed, "floor", spec.row)
    chosen = fair_share(len(real), spec.seed)
    shape = (spec.samples, *real.shape[1:])
    with array_writer(at.samples, shape, "uint8", row_origin(at)) as samples:
        for i in range(spec.samples):
            if spec.row == "real":
                samples[i] = real[chosen[i]]
            else:
                samples[i] = random.integers(0, 256, real.shape[1:], dtype=np.uint8)
    save_grid(at.grid, read_array(at.samples)[:GRID], columns=8)
