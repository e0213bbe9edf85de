"""The stage `curve`: samples of a run at several points of its training, and their quality."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genlab.config.curves import share_name, steps_at
from genlab.config.study import EvaluationConfig
from genlab.errors import GenLabError
from genlab.evaluation.extractors import Extractor, features_of
from genlab.evaluation.learning_curve import copied_share, measure_quality
from genlab.evaluation.metrics import Features, Images, Values
from genlab.io.arrays import read_array
from genlab.io.files import read_json
from genlab.models.base import Model
from genlab.models.batches import to_uint8
from genlab.models.devices import pick_device
from genlab.models.store import build_trained, read_tensors
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder
from genlab.results.origin import KEY, check_origin, run_origin, write_measured
from genlab.results.spec import CurveSpec, read_curve, read_evaluation, read_run
from genlab.sampling.draw import draw
from genlab.tracking.record import leave_record
from genlab.workflow.captions import captions_of
from genlab.workflow.feature_files import reference_features
from genlab.workflow.features import load_extractor

BATCH = 100


def curve(run: RunFolder, *, cpu: bool = False) -> None:
    """Write the learning curve of a run, a point for each share of its training.

    Raises:
        GenLabError: weights are missing, or of another version of the study.
    """
    spec, device, origin = read_curve(run.curve_config), pick_device(cpu), run_origin(run)
    training = read_array(run.data.images("train"))
    batch_size = read_run(run.config).training.batch_size
    steps = read_json(run.summary)["steps"]
    spaces = _load_spaces(run, device)
    points: list[dict[str, Any]] = []
    for share in spec.shares:
        samples = draw_samples(run, spec, load_earlier_model(run.weights_at(share), origin, device))
        points.append(
            {
                "share": share,
                "images": steps_at(share, steps) * batch_size,
                "copied": copied_share(samples, training),
                "quality": {name: space.measure(samples, device) for name, space in spaces.items()},
            }
        )
    content = {"row": spec.row, "samples": spec.samples, "points": points}
    write_measured(run.curve, content, origin)
    leave_record(run, "curve", metrics=_numbers(points), prefix="")


@dataclass(frozen=True)
class _Space:
    """An extractor, and the real images in its features."""

    extractor: Extractor
    training: Features
    held_out: Features
    config: EvaluationConfig

    def measure(self, samples: Images, device: torch.device) -> Values:
        """The quality of `samples` in these features."""
        generated = features_of(self.extractor, samples, device)
        return measure_quality(generated, self.training, self.held_out, self.config)


def _load_spaces(run: RunFolder, device: torch.device) -> dict[str, _Space]:
    """The extractors of the study by name, with the features of the run's data set."""
    study, dataset = run.study, run.dataset
    config = read_evaluation(study.evaluation)
    return {
        name: _Space(
            load_extractor(study, dataset, name, device),
            reference_features(study, dataset, name, "train"),
            reference_features(study, dataset, name, "test"),
            config,
        )
        for name in config.extractors
    }


def load_earlier_model(path: Path, origin: str, device: torch.device) -> Model:
    """Load the model of a point of the training.

    Raises:
        GenLabError: the file is missing or damaged, or of another origin.
    """
    try:
        tensors, metadata = read_tensors(path)
    except GenLabError as error:  # the folder as a whole is an output of the training
        raise GenLabError(f"{error}; delete the whole folder {path.parent} for that") from None
    check_origin(path, metadata.get(KEY), origin)
    return build_trained(tensors, metadata, path, device)


def draw_samples(run: RunFolder, spec: CurveSpec, model: Model) -> Images:
    """Draw uint8 [N, C, H, W]; sample i has the noise of the league's sample i at every point."""
    device = next(model.parameters()).device
    parts = []
    for start in range(0, spec.samples, BATCH):
        noise = SampleNoise(spec.seed, range(start, min(start + BATCH, spec.samples)), device)
        captions = captions_of(run.data, noise) if model.config.takes_prompts else None
        drawing = draw(model, spec.sampler, noise, captions and captions.tokens)
        parts.append(to_uint8(drawing.images).cpu().numpy())
    return np.concatenate(parts)


def _numbers(points: list[dict[str, Any]]) -> dict[str, float]:
    """The numbers of all points as tracking services show them: `curve/0.05/classifier/fid`."""
    numbers: dict[str, float] = {}
    for point in points:
        at = f"curve/{share_name(point['share'])}"
        numbers[f"{at}/copied"] = point["copied"]
        for extractor, values in point["quality"].items():
            numbers |= {
                f"{at}/{extractor}/{name}": value
                for name, value in values.items()
                if value is not None
            }
    return numbers
