"""The stage `evaluate`: a run's rows, and their features, to metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.config.evaluators import CALIBRATION, extractor
from genlab.config.study import EvaluationConfig
from genlab.evaluation.classes import measure_classes
from genlab.evaluation.metrics import (
    Comparison,
    Features,
    Images,
    RowComparison,
    measure,
    measure_row,
)
from genlab.io.arrays import read_array, read_note
from genlab.io.files import read_json, write_json
from genlab.results.layout import RunFolder, SampleFolder
from genlab.results.origin import KEY, OF_ROW, check_origin, metrics_origin, row_origin
from genlab.results.spec import read_evaluation
from genlab.workflow.feature_files import features_origin, read_features, reference_features


def evaluate(run: RunFolder, rows: list[str] | None = None) -> None:
    """Measure `rows` of a run, in the features of every extractor; write its metrics.json.

    None stands for all rows that have features. Samples that were requested by class are compared
    with the training images of their class as well.
    """
    if not rows:
        rows = sorted(path.parent.name for path in run.folder.glob("samples/*/features"))
    for at in map(run.samples, rows):
        check_origin(at.samples, read_note(at.samples).made_from, row_origin(at))
    real = _RealImages.read(run)
    measured: dict[str, dict[str, Any]] = {}
    for row in rows:
        at = run.samples(row)
        measured[row] = {KEY: metrics_origin(at), **_measure_row(at, real)}
    write_json(run.metrics, measured)


@dataclass(frozen=True)
class _RealImages:
    """The images of a data set that samples are compared with, read once for all rows."""

    training: Images
    held_out: Images
    training_labels: NDArray[np.int64]
    held_out_labels: NDArray[np.int64]
    classes: list[str]
    features: dict[str, tuple[Features, Features]]
    """Of the training and of the held-out images, by extractor."""
    config: EvaluationConfig

    @classmethod
    def read(cls, run: RunFolder) -> _RealImages:
        """Read those of a run's data set."""
        study, data, config = run.study, run.data, read_evaluation(run.study.evaluation)
        return cls(
            read_array(data.images("train")),
            read_array(data.images("test")),
            np.array(read_array(data.labels("train"))),
            np.array(read_array(data.labels("test"))),
            read_json(data.manifest)["classes"],
            {
                name: (
                    reference_features(study, run.dataset, name, "train"),
                    reference_features(study, run.dataset, name, "test"),
                )
                for name in config.extractors
            },
            config,
        )

    def comparison(self, name: str, generated: Features) -> Comparison:
        """Compare `generated` with them in the features of the extractor `name`."""
        training, held_out = self.features[name]
        classes = extractor(name).tells_classes(len(self.classes))
        return Comparison(generated, training, self.config, held_out, classes)


def _measure_row(at: SampleFolder, real: _RealImages) -> dict[str, dict[str, Any]]:
    """The metrics of a row by extractor, and under OF_ROW those of the row as a whole."""
    requested = requested_classes(at)
    measured: dict[str, dict[str, Any]] = {}
    spaces: dict[str, Comparison] = {}
    for name in real.config.extractors:
        origin = features_origin(at.run.study, at.run.dataset, name, at.samples)
        spaces[name] = real.comparison(name, read_features(at.features(name), origin))
        measured[name] = {**measure(spaces[name])}
        if requested is not None:
            measured[name]["per_class"] = measure_classes(
                spaces[name], requested, real.training_labels, real.classes
            )
    row = RowComparison(
        read_array(at.samples), real.training, real.held_out, spaces, real.config,
        requested, real.training_labels, real.held_out_labels,
    )  # fmt: skip
    return {**measured, OF_ROW: measure_row(row)}


def requested_classes(row: SampleFolder) -> NDArray[np.int64] | None:
    """Return the class that each sample of a row was requested to be of, [N], as `sample` wrote it.

    None for calibration rows, models without classes, and samplers whose guidance 0 ignores them.

    Raises:
        GenLabError: the classes belong to other samples than the row's spec says.
    """
    if row.run.model_name == CALIBRATION:
        return None
    check_origin(row.requested, read_note(row.requested).made_from, row_origin(row))
    requested: NDArray[np.int64] = np.array(read_array(row.requested))
    return None if (requested < 0).any() else requested
