"""The stages `features`, `evaluate` and `rfid`: images to features, features to metrics.

The features of rows are extracted once and kept; every metric reads the same files. A file of
features names the images and the extractor that it was made from, and a metric refuses features of
other images than those that lie there now, or of another extractor than the reference's.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.utils import get_featuresdict_from_dataset

from genlab.config.base import short_hash
from genlab.config.evaluators import CLASSIFIER, FLOOR
from genlab.data.floors import fair_share
from genlab.errors import GenLabError
from genlab.evaluation.classes import measure_classes, requested_classes
from genlab.evaluation.extractors import LAYERS, make_extractor
from genlab.evaluation.metrics import Features, frechet, full_rank, measure
from genlab.io.arrays import read_array, read_note
from genlab.io.files import read_json, replacing, write_json
from genlab.models.devices import pick_device
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import (
    KEY,
    check_origin,
    metrics_origin,
    row_origin,
    run_origin,
    write_measured,
)
from genlab.results.spec import read_evaluation
from genlab.tracking.record import leave_record


class Images(Dataset[Tensor]):
    """uint8 images [C, H, W]; with `rgb`, grey ones are repeated to three channels."""

    def __init__(self, images: NDArray[np.uint8], rgb: bool) -> None:
        self.images, self.rgb = images, rgb

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = torch.from_numpy(np.array(self.images[index]))
        return image.expand(3, -1, -1) if self.rgb and len(image) == 1 else image


def features_of(
    study: StudyFolder, dataset: str, extractor: str, images: NDArray[np.uint8], cpu: bool
) -> Features:
    """The features [N, F] and logits [N, K] of images uint8 [N, C, H, W]."""
    config = read_evaluation(study.evaluation)
    cuda = pick_device(cpu).type == "cuda"
    network = make_extractor(extractor, study.classifier(dataset), config.inception_weights, cuda)
    pixels = Images(images, rgb=extractor != "classifier")
    found = get_featuresdict_from_dataset(
        pixels, network, batch_size=100, cuda=cuda, save_cpu_ram=True, verbose=False
    )
    layers = LAYERS[extractor]
    return {"features": found[layers.features].numpy(), "logits": found[layers.logits].numpy()}


def features_origin(study: StudyFolder, dataset: str, extractor: str, images: Path) -> str:
    """What the features of the array at `images` depend on: its pixels, and the extractor."""
    trained = run_origin(study.classifier(dataset)) if extractor == CLASSIFIER else ""
    return short_hash(read_note(images).sha256, extractor, trained)


def extract(
    study: StudyFolder, dataset: str, extractor: str, images: Path, out: Path, cpu: bool = False
) -> None:
    """Write the features and logits of the images at `images` to `out` (.npz)."""
    origin = features_origin(study, dataset, extractor, images)
    features = features_of(study, dataset, extractor, read_array(images), cpu)
    arrays: dict[str, Any] = {KEY: np.array(origin), **features}
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_features(path: Path, origin: str) -> Features:
    """The arrays `features` and `logits` that `extract` wrote.

    Raises:
        GenLabError: the file is missing or damaged, or its features are of another origin.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            features = {"features": file["features"], "logits": file["logits"]}
            own = str(file[KEY])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise GenLabError(
            f"{path}: not a whole file of features ({error}); delete it and run again"
        ) from None
    check_origin(path, own, origin)
    return features


def evaluate(run: RunFolder, rows: list[str] | None = None) -> None:
    """Measure `rows` of a run in the features of every extractor; write its metrics.json.

    None stands for all rows that have features. Where a class was requested of each sample, the
    samples of each class are measured against the training images of the same one as well. A domain
    classifier on a data set of one class has no inception score.
    """
    study, dataset, config = run.study, run.dataset, read_evaluation(run.study.evaluation)
    if not rows:
        rows = sorted(path.parent.name for path in run.folder.glob("samples/*/features"))
    for at in map(run.samples, rows):
        check_origin(at.samples, read_note(at.samples).made_from, row_origin(at))
    measured: dict[str, dict[str, Any]] = {
        row: {KEY: metrics_origin(run.samples(row))} for row in rows
    }
    tracked: dict[str, float] = {}
    one_class = len(read_json(run.data.manifest)["classes"]) == 1
    for extractor in config.extractors:
        reference = _reference(study, dataset, extractor)
        for row in rows:
            at = run.samples(row)
            origin = features_origin(study, dataset, extractor, at.samples)
            sample = read_features(at.features(extractor), origin)
            overall: dict[str, Any] = {
                **measure(sample, reference, config),
                "samples": len(sample["features"]),
                "reference_images": len(reference["features"]),
            }
            if extractor == CLASSIFIER and one_class:  # its logits are those of quarter turns
                overall |= {"inception_score": None, "inception_score_std": None}
            tracked |= {
                f"{row}/{extractor}/{name}": value
                for name, value in overall.items()
                if value is not None
            }
            requested = requested_classes(at)
            measured[row][extractor] = overall
            if requested is not None:
                parts = measure_classes(run, sample, requested, reference, config)
                measured[row][extractor] |= {"per_class": parts}
    write_json(run.metrics, measured)
    if run.model_name != FLOOR:
        leave_record(run, "evaluate", metrics=tracked)


def _reference(study: StudyFolder, dataset: str, extractor: str) -> Features:
    """The features of the training images."""
    images = study.data(dataset).images("train")
    origin = features_origin(study, dataset, extractor, images)
    return read_features(study.reference(dataset, extractor), origin)


def rfid(run: RunFolder, *, cpu: bool = False) -> None:
    """Measure reconstructions as if a generator had drawn them; write the FID by extractor.

    They are those of the images in the league's row `real`, and as many, so that the two FIDs tell
    what the autoencoder adds, and the FID of whatever draws through its decoder compares as well.
    null stands where they are fewer than the features have dimensions.
    """
    config, origin = read_evaluation(run.study.evaluation), run_origin(run)
    images = read_array(run.reconstructed)
    check_origin(run.reconstructed, read_note(run.reconstructed).made_from, origin)
    chosen = np.array(images[fair_share(len(images))[: config.samples]])
    found: dict[str, float | None] = {}
    for extractor in config.extractors:
        reference = _reference(run.study, run.dataset, extractor)
        features = features_of(run.study, run.dataset, extractor, chosen, cpu)
        both = features["features"], reference["features"]
        found[extractor] = frechet(*both) if full_rank(*both) else None
    write_measured(run.rfid, found, origin)
    tracked = {f"{e}/reconstruction_fid": v for e, v in found.items() if v is not None}
    leave_record(run, "rfid", metrics=tracked)
