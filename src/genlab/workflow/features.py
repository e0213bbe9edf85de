"""The stage `features`: images to features, extracted once for all metrics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from genlab.config.evaluators import extractor
from genlab.evaluation.extractors import Extractor, features_of, make_extractor
from genlab.io.arrays import read_array
from genlab.io.files import replacing
from genlab.models.devices import pick_device
from genlab.results.layout import StudyFolder
from genlab.results.origin import KEY, run_origin
from genlab.results.spec import read_evaluation
from genlab.workflow.feature_files import features_origin, training_run
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
    run = training_run(study, dataset, name)
    model = load_trained(run, origin=run_origin(run)) if run else None
    training = read_array(study.data(dataset).images("train")) if extractor(name).fitted else None
    return make_extractor(name, model, read_evaluation(study.evaluation), device, training)
