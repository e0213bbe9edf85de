"""FID and KID of each class, for rows whose samples were requested to be of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from genlab.config.evaluators import FLOOR
from genlab.config.study import EvaluationConfig
from genlab.evaluation.metrics import Features, frechet, full_rank, kernel_distance
from genlab.io.arrays import read_array, read_note
from genlab.io.files import read_json
from genlab.results.layout import RunFolder, SampleFolder
from genlab.results.origin import check_origin, row_origin

FEWEST = 10  # images of a class from which on its KID says anything: it is unbiased, but scatters


def requested_classes(row: SampleFolder) -> NDArray[np.int64] | None:
    """Return the class that each sample of a row was requested to be of, as `sample` noted it.

    None for a row without: calibration rows, models that know no classes, and samplers whose
    guidance 0 ignores them.

    Raises:
        GenLabError: the classes belong to other samples than the row's spec says.
    """
    if row.run.model_name == FLOOR:
        return None
    check_origin(row.requested, read_note(row.requested).made_from, row_origin(row))
    requested: NDArray[np.int64] = np.array(read_array(row.requested))
    return None if (requested < 0).any() else requested


def measure_classes(
    run: RunFolder,
    sample: Features,
    requested: NDArray[np.int64],
    reference: Features,
    config: EvaluationConfig,
) -> dict[str, dict[str, float | None]]:
    """FID and KID of the samples of each class against the training images of this class.

    Classes have few images. FID needs at least as many as there are feature dimensions, and is None
    where they are fewer; KID is unbiased and stands for any number. Its subsets are as large as the
    class allows.
    """
    labels = np.array(read_array(run.data.labels("train")))
    result: dict[str, dict[str, float | None]] = {}
    for k, name in enumerate(read_json(run.data.manifest)["classes"]):
        generated, real = sample["features"][requested == k], reference["features"][labels == k]
        if min(len(generated), len(real)) >= FEWEST:
            kid, _ = kernel_distance(generated, real, config)
            fid = frechet(generated, real) if full_rank(generated, real) else None
            result[name] = {"fid": fid, "kid": kid}
    return result
