"""The stage `evaluate`: features of a run's rows to metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genlab.config.evaluators import FLOOR, extractor
from genlab.evaluation.classes import measure_classes
from genlab.evaluation.metrics import measure
from genlab.io.arrays import read_array, read_note
from genlab.io.files import read_json, write_json
from genlab.results.layout import RunFolder, SampleFolder
from genlab.results.origin import KEY, check_origin, metrics_origin, row_origin
from genlab.results.spec import read_evaluation
from genlab.tracking.record import leave_record
from genlab.workflow.features import features_origin, read_features, reference_features


def evaluate(run: RunFolder, rows: list[str] | None = None) -> None:
    """Measure `rows` of a run in the features of every extractor; write its metrics.json.

    None stands for all rows that have features. Samples that were requested by class are compared
    with the training images of their class as well.
    """
    if not rows:
        rows = sorted(path.parent.name for path in run.folder.glob("samples/*/features"))
    for at in map(run.samples, rows):
        check_origin(at.samples, read_note(at.samples).made_from, row_origin(at))
    measured: dict[str, dict[str, Any]] = {
        row: {KEY: metrics_origin(run.samples(row))} for row in rows
    }
    for name in read_evaluation(run.study.evaluation).extractors:
        for row, values in _in_features(run, rows, name).items():
            measured[row][name] = values
    write_json(run.metrics, measured)
    if run.model_name != FLOOR:
        leave_record(run, "evaluate", metrics=_numbers(measured))


def _in_features(run: RunFolder, rows: list[str], name: str) -> dict[str, dict[str, Any]]:
    """The metrics of each row in the features of the extractor `name`."""
    study, dataset, config = run.study, run.dataset, read_evaluation(run.study.evaluation)
    classes: list[str] = read_json(run.data.manifest)["classes"]
    labels = np.array(read_array(run.data.labels("train")))
    reference = reference_features(study, dataset, name)
    measured: dict[str, dict[str, Any]] = {}
    for row in rows:
        at = run.samples(row)
        origin = features_origin(study, dataset, name, at.samples)
        sample = read_features(at.features(name), origin)
        tells_classes = extractor(name).tells_classes(len(classes))
        measured[row] = {**measure(sample, reference, config, classes=tells_classes)}
        requested = requested_classes(at)
        if requested is not None:
            measured[row]["per_class"] = measure_classes(
                sample, requested, reference, labels, classes, config
            )
    return measured


def _numbers(measured: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The metrics of all rows as `row/extractor/metric`, as tracking services show them."""
    return {
        f"{row}/{name}/{metric}": value
        for row, by_extractor in measured.items()
        for name, values in by_extractor.items()
        if name != KEY
        for metric, value in values.items()
        if metric != "per_class" and value is not None
    }


def requested_classes(row: SampleFolder) -> NDArray[np.int64] | None:
    """Return the class that each sample of a row was requested to be of, [N], as `sample` wrote it.

    None for calibration rows, models without classes, and samplers whose guidance 0 ignores them.

    Raises:
        GenLabError: the classes belong to other samples than the row's spec says.
    """
    if row.run.model_name == FLOOR:
        return None
    check_origin(row.requested, read_note(row.requested).made_from, row_origin(row))
    requested: NDArray[np.int64] = np.array(read_array(row.requested))
    return None if (requested < 0).any() else requested
