"""The stage `calibrate`: write a calibration row of the league."""

from __future__ import annotations

from genlab.config.calibration import KINDS, split_row
from genlab.data.calibration import RealImages, calibration_images
from genlab.data.pictures import GRID, save_grid
from genlab.errors import GenLabError
from genlab.io.arrays import array_writer, read_array
from genlab.io.files import read_json
from genlab.results.layout import SampleFolder
from genlab.results.origin import row_origin
from genlab.results.spec import read_samples


def calibrate(at: SampleFolder) -> None:
    """Write the images of the row, and their grid.

    Raises:
        GenLabError: the row needs more real images than are held out, or more classes.
    """
    spec, source = read_samples(at.config), at.run.data
    data = RealImages(
        read_array(source.images("test")),
        read_array(source.labels("test")),
        read_array(source.images("train")),
        read_array(source.labels("train")),
        len(read_json(source.manifest)["classes"]),
        spec.samples,
        spec.seed,
    )
    of_held_out = KINDS[split_row(spec.row)[0]].origin == "held-out"
    if of_held_out and spec.samples > len(data.held_out):
        raise GenLabError(
            f"{at.config}: evaluation.samples asks for {spec.samples} images, but "
            f"'{at.run.dataset}' holds out only {len(data.held_out)}; ask for fewer, or remove "
            f"'{spec.row}' from evaluation.calibration"
        )
    shape = (spec.samples, *data.held_out.shape[1:])
    with array_writer(at.samples, shape, "uint8", row_origin(at)) as samples:
        for i, image in enumerate(calibration_images(spec.row, data)):
            samples[i] = image
    save_grid(at.grid, read_array(at.samples)[:GRID], columns=8)
