"""The stage `calibrate`: write a calibration row of the league."""

from __future__ import annotations

from genlab.data.calibration import calibration_images
from genlab.data.pictures import GRID, save_grid
from genlab.errors import GenLabError
from genlab.io.arrays import array_writer, read_array
from genlab.results.layout import SampleFolder
from genlab.results.origin import row_origin
from genlab.results.spec import read_samples


def calibrate(at: SampleFolder) -> None:
    """Write the images of the row, real or noise, and their grid.

    Raises:
        GenLabError: the row needs more real images than are held out.
    """
    spec = read_samples(at.config)
    held_out = read_array(at.run.data.images("test"))
    if spec.row == "real" and spec.samples > len(held_out):
        raise GenLabError(
            f"{at.config}: evaluation.samples asks for {spec.samples} images, but "
            f"'{at.run.dataset}' holds out only {len(held_out)}; ask for fewer, or remove 'real' "
            "from evaluation.calibration"
        )
    images = calibration_images("real" if spec.row == "real" else "noise", held_out, spec.seed)
    shape = (spec.samples, *held_out.shape[1:])
    with array_writer(at.samples, shape, "uint8", row_origin(at)) as samples:
        for i in range(spec.samples):
            samples[i] = next(images)
    save_grid(at.grid, read_array(at.samples)[:GRID], columns=8)
