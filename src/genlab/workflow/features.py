"""The stage `features`: images to features, extracted once for all metrics.

A file of features names the images and the extractor that it was made from. A metric refuses
features of other images than those that are there now, or of another version of the extractor.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genlab.config.base import short_hash
from genlab.config.evaluators import extractor
from genlab.errors import GenLabError
from genlab.evaluation.extractors import Extractor, features_of, make_extractor
from genlab.evaluation.metrics import Features
from genlab.io.arrays import read_array, read_note
from genlab.io.files import replacing
from genlab.models.devices import pick_device
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import KEY, check_origin, run_origin
from genlab.results.spec import read_evaluation
from genlab.workflow.models import load_trained


def features(study: StudyFolder, dataset: str, images: Path, out: Path, cpu: bool = False) -> None:
    """Write the features and logits of the images at `images` to `out`/EXTRACTOR.npz, for every
    extractor of the study.
    """
    device = pick_device(cpu)
    for name in read_evaluation(study.evaluation).extractors:
        origin = features_origin(study, dataset, name, images)
        network = load_extractor(study, dataset, name, device)
        result = features_of(network, read_array(images), device)
        arrays: dict[str, Any] = {KEY: np.array(origin), **result}
        with replacing(out / f"{name}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


def load_extractor(study: StudyFolder, dataset: str, name: str, device: torch.device) -> Extractor:
    """The extractor `name`, of the study's own version where it is trained or fitted.

    Raises:
        GenLabError: there is none of this name, or its weights can't be had.
    """
    run = _trained(study, dataset, name)
    model = load_trained(run, origin=run_origin(run)) if run else None
    training = read_array(study.data(dataset).images("train")) if extractor(name).fitted else None
    return make_extractor(name, model, read_evaluation(study.evaluation), device, training)


def features_origin(study: StudyFolder, dataset: str, name: str, images: Path) -> str:
    """Digest of what features depend on: the pixels at `images`, and the extractor `name`."""
    run = _trained(study, dataset, name)
    made_from = run_origin(run) if run else ""
    if extractor(name).fitted:
        made_from = read_note(study.data(dataset).images("train")).sha256
    return short_hash(read_note(images).sha256, name, made_from)


def _trained(study: StudyFolder, dataset: str, name: str) -> RunFolder | None:
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
