"""Files of features, as the stages that compare features read them: without any network.

A file of features names the images and the extractor that it was made from. A metric refuses
features of other images than those that are there now, or of another version of the extractor.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from genlab.config.base import short_hash
from genlab.config.evaluators import extractor
from genlab.errors import GenLabError
from genlab.evaluation.metrics import Features
from genlab.io.arrays import read_note
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import KEY, check_origin, run_origin


def features_origin(study: StudyFolder, dataset: str, name: str, images: Path) -> str:
    """Digest of what features depend on: the pixels at `images`, and the extractor `name`."""
    run = training_run(study, dataset, name)
    made_from = run_origin(run) if run else ""
    if extractor(name).fitted:
        made_from = read_note(study.data(dataset).images("train")).sha256
    return short_hash(read_note(images).sha256, name, made_from)


def training_run(study: StudyFolder, dataset: str, name: str) -> RunFolder | None:
    """The run in which the extractor `name` was trained; None if it isn't trained."""
    return study.run(dataset, name, 0) if extractor(name).trained else None


def read_features(path: Path, origin: str) -> Features:
    """The arrays `features` and `logits` that the stage wrote.

    Raises:
        GenLabError: the file is missing or damaged, or its features are of another origin.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            result = {"features": file["features"], "logits": file["logits"]}
            own = str(file[KEY])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise GenLabError(
            f"{path}: not a complete file of features ({error}); delete it and run again"
        ) from None
    check_origin(path, own, origin)
    return result


def reference_features(study: StudyFolder, dataset: str, name: str, split: str) -> Features:
    """The features of the images of a split in the extractor `name`."""
    images = study.data(dataset).images(split)
    origin = features_origin(study, dataset, name, images)
    return read_features(study.reference(dataset, split) / f"{name}.npz", origin)
