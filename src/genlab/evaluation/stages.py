"""The stages `features` and `evaluate`: images to features, features to metrics.

Features are extracted once and kept; every metric reads the same files. All of them are computed
by torch-fidelity.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torch_fidelity.utils import get_featuresdict_from_dataset

from genlab.config.errors import GenLabError
from genlab.config.layout import FLOOR, RunFolder, StudyFolder
from genlab.config.spec import read_evaluation
from genlab.config.study import EvaluationConfig
from genlab.data.files import read_array, replacing, write_json
from genlab.evaluation.extractors import LAYERS, make_extractor
from genlab.models.devices import pick_device
from genlab.tracking.record import flatten, leave_record

Features = dict[str, NDArray[np.float32]]


class Images(Dataset[Tensor]):
    """uint8 images [C, H, W]; with `rgb`, grey ones are repeated to three channels."""

    def __init__(self, images: NDArray[np.uint8], rgb: bool) -> None:
        self.images, self.rgb = images, rgb

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = torch.from_numpy(np.array(self.images[index]))
        return image.expand(3, -1, -1) if self.rgb and len(image) == 1 else image


def extract(
    study: StudyFolder, dataset: str, extractor: str, images: Path, out: Path, cpu: bool = False
) -> None:
    """Write the features [N, F] and logits [N, K] of the images at `images` to `out` (.npz)."""
    config = read_evaluation(study.evaluation)
    cuda = pick_device(cpu).type == "cuda"
    network = make_extractor(extractor, study.classifier(dataset), config.inception_weights, cuda)
    pixels = Images(read_array(images), rgb=extractor != "classifier")
    found = get_featuresdict_from_dataset(
        pixels, network, batch_size=100, cuda=cuda, save_cpu_ram=True, verbose=False
    )
    layers = LAYERS[extractor]
    arrays = {
        "features": found[layers.features].numpy(),
        "logits": found[layers.logits].numpy(),
    }
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_features(path: Path) -> Features:
    """The arrays `features` and `logits` that `extract` wrote."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {"features": file["features"], "logits": file["logits"]}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise GenLabError(f"{path}: not a file of features ({error}); delete it") from None


def measure(sample: Features, reference: Features, config: EvaluationConfig) -> dict[str, float]:
    """FID, KID, inception score, precision and recall of `sample` against `reference`.

    Raises:
        GenLabError: fewer images than feature dimensions, or than KID's subsets need.
    """
    generated, real = (torch.from_numpy(f["features"]).double() for f in (sample, reference))
    for what, features in (("samples", generated), ("reference images", real)):
        n, dimensions = features.shape
        needed = max(dimensions, config.kid_subset_size, config.neighbours + 1)
        if n < needed:
            raise GenLabError(
                f"evaluation: {n} {what} are too few: {dimensions} feature dimensions, "
                f"kid_subset_size {config.kid_subset_size} and {config.neighbours} neighbours "
                f"need at least {needed}"
            )
    statistics = [fid_features_to_statistics(features) for features in (generated, real)]
    fid = fid_statistics_to_metric(*statistics, verbose=False)
    kid = kid_features_to_metric(
        generated,
        real,
        kid_subsets=config.kid_subsets,
        kid_subset_size=config.kid_subset_size,
        verbose=False,
    )
    prc = prc_features_to_metric(generated, real, prc_neighborhood=config.neighbours, verbose=False)
    isc = isc_features_to_metric(torch.from_numpy(sample["logits"]), splits=config.splits)
    return {
        "fid": fid["frechet_inception_distance"],
        "kid": kid["kernel_inception_distance_mean"],
        "kid_std": kid["kernel_inception_distance_std"],
        "inception_score": isc["inception_score_mean"],
        "inception_score_std": isc["inception_score_std"],
        "precision": prc["precision"],
        "recall": prc["recall"],
    }


def evaluate(run: RunFolder, rows: list[str] | None = None) -> None:
    """Measure `rows` of a run in the features of every extractor; write its metrics.json.

    None stands for all rows that have features.
    """
    config = read_evaluation(run.study.evaluation)
    if not rows:
        rows = sorted(path.parent.name for path in run.folder.glob("samples/*/features"))
    measured: dict[str, dict[str, dict[str, float]]] = {row: {} for row in rows}
    for extractor in config.extractors:
        reference = read_features(run.study.reference(run.dataset, extractor))
        for row in rows:
            sample = read_features(run.samples(row).features(extractor))
            measured[row][extractor] = {
                **measure(sample, reference, config),
                "samples": len(sample["features"]),
                "reference_images": len(reference["features"]),
            }
    write_json(run.metrics, measured)
    if run.model_name != FLOOR:
        flat = {key.replace(".", "/"): float(v) for key, v in flatten(measured).items()}
        leave_record(run, "evaluate", metrics=flat)
