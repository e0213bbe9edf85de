"""The stage `rfid`: FID of reconstructed images, measured as if they were samples."""

from __future__ import annotations

import numpy as np

from genlab.data.arrays import fair_share
from genlab.evaluation.extractors import features_of
from genlab.evaluation.metrics.fid import frechet
from genlab.io.arrays import read_array, read_note
from genlab.models.devices import pick_device
from genlab.results.layout import RunFolder
from genlab.results.origin import check_origin, run_origin, write_measured
from genlab.results.spec import read_evaluation
from genlab.tracking.record import leave_record
from genlab.workflow.feature_files import reference_features
from genlab.workflow.features import load_extractor


def rfid(run: RunFolder, *, cpu: bool = False) -> None:
    """Write the FID of a run's reconstructions by extractor; null where there are too few images.

    The reconstructions are those of the images in the league's row `real`, and as many. So the
    difference of the two FIDs is what the autoencoder loses, and the FID of a model that draws
    through its decoder compares with both.
    """
    study, origin, device = run.study, run_origin(run), pick_device(cpu)
    config = read_evaluation(study.evaluation)
    images = read_array(run.reconstructed)
    check_origin(run.reconstructed, read_note(run.reconstructed).made_from, origin)
    chosen = np.array(images[fair_share(len(images))[: config.samples]])
    result: dict[str, float | None] = {}
    for name in config.extractors:
        network = load_extractor(study, run.dataset, name, device)
        generated = features_of(network, chosen, device)
        reference = reference_features(study, run.dataset, name, "train")
        result[name] = frechet(generated["features"], reference["features"])
    write_measured(run.rfid, result, origin)
    numbers = {f"{e}/reconstruction_fid": v for e, v in result.items() if v is not None}
    leave_record(run, "rfid", metrics=numbers)
