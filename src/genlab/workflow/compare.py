"""A row of the league compared with the same row made again, and its publications with its files.

what                           compared with
weights                        their checksum; the model that the spec describes
samples, requested classes,    those made again, byte for byte; on another kind of processor
features, metrics              their checksums, and the published intervals
league.csv, league.parquet,    the metrics and costs in the run's folder, exactly
measurements, page, MLflow
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pandas as pd

from genlab.config.evaluators import CALIBRATION, extractor
from genlab.errors import GenLabError
from genlab.evaluation.metrics import Values
from genlab.io.arrays import read_array
from genlab.io.differences import (
    Difference,
    archive_difference,
    array_difference,
    mapping_difference,
)
from genlab.io.files import note_path, read_json
from genlab.models.base import Facts, Model, build_model
from genlab.models.store import ARCHITECTURE, Metadata, read_tensors, save_model
from genlab.report.exports import MEASUREMENT_KEYS, measurements
from genlab.report.league import COLUMNS, rows_of_run
from genlab.report.published import (
    page_row,
    read_csv_rows,
    read_page_rows,
    read_parquet_rows,
    table_difference,
)
from genlab.report.tracked import Numbers, row_numbers
from genlab.results.layout import RunFolder, SampleFolder
from genlab.results.origin import KEY, run_origin
from genlab.results.spec import RunSpec, read_evaluation, read_run, read_study
from genlab.tracking.mlflow_store import store_uri, stored_metrics, without_password
from genlab.workflow.feature_files import features_origin, read_features


class Redrawn(NamedTuple):
    """A row that was made again.

    Attributes:
        at: its files.
        exact: whether it was made on the same kind of processor and by the same version of torch,
            so that its bytes must agree. Where these are not on record they must agree as well.
    """

    at: SampleFolder
    exact: bool


class Compared(NamedTuple):
    """A file without a difference, and how much of it was compared."""

    name: str
    amount: str


def _result(name: object, amount: str, difference: Difference | None) -> Compared:
    """What was compared.

    Raises:
        GenLabError: there is a difference.
    """
    if difference is not None:
        raise GenLabError(str(difference))
    return Compared(str(name), amount)


def trained_extractors(at: SampleFolder) -> list[RunFolder]:
    """The runs in which the extractors of a row's study were trained."""
    names = read_evaluation(at.run.study.evaluation).extractors
    return [at.run.study.run(at.run.dataset, n, 0) for n in names if extractor(n).trained]


def compare_weights(at: SampleFolder) -> Iterator[Compared]:
    """Check the weights of a row's model and of the extractors that measure it.

    Raises:
        GenLabError: names the first file that is damaged, or holds another model than its spec.
    """
    models = [] if at.run.model_name == CALIBRATION else [at.run]
    for run in [*models, *trained_extractors(at)]:
        tensors, metadata = read_tensors(run.weights)
        difference = _metadata_difference(run, metadata)
        yield _result(_name(run.weights, at), f"{len(tensors)} tensors", difference)


def _metadata_difference(run: RunFolder, metadata: Metadata) -> Difference | None:
    """Compare the metadata of weights with those of an untrained model of the same spec."""
    spec, facts = read_run(run.config), Facts.of(read_json(run.data.manifest))
    with TemporaryDirectory(prefix="genlab-verify-") as scratch:
        path = Path(scratch) / run.weights.name
        save_model(path, _untrained(spec, facts), metadata={KEY: run_origin(run)})
        _, expected = read_tensors(path)
    if metadata == expected:
        return None
    sides = _parsed(metadata), _parsed(expected)
    difference = mapping_difference(run.weights, *sides, "metadata")
    return difference or Difference(run.weights, "metadata", "other text", "that of its spec")


def _parsed(metadata: Metadata) -> dict[str, Any]:
    """The metadata of weights, with the model's architecture as nested values."""
    try:
        return {**metadata, ARCHITECTURE: json.loads(metadata[ARCHITECTURE])}
    except (KeyError, ValueError):
        return dict(metadata)


def _untrained(spec: RunSpec, facts: Facts) -> Model:
    """The model of a spec, and below it its first stage, with new weights."""
    below = None if spec.first_stage is None else _untrained(spec.first_stage, facts)
    return build_model(spec.model, facts, 0, below)


def _name(path: Path, at: SampleFolder) -> Path:
    """The path of a file within the study."""
    return path.relative_to(at.run.study.folder)


def compare_redrawn(at: SampleFolder, again: Redrawn) -> Iterator[Compared]:
    """Compare a row's files with those that were made again.

    Raises:
        GenLabError: names the first difference.
    """
    calibration = at.run.model_name == CALIBRATION
    yield _compare_array(at.samples, again.at.samples, at, again.exact or calibration)
    if not calibration:
        yield _compare_array(at.requested, again.at.requested, at, True)
        yield _compare_cost(at, again)
    for name in read_evaluation(at.run.study.evaluation).extractors:
        yield _compare_features(at, again, name)
    yield _compare_metrics(at, again)


def _compare_array(path: Path, again: Path, at: SampleFolder, exact: bool) -> Compared:
    """Compare an array and its note, or check the one by the other."""
    note, expected = read_json(note_path(path)), read_json(note_path(again))
    if not path.exists():
        raise GenLabError(f"{path}: no such file; run the workflow again")
    difference = array_difference(path, again) if exact else None
    if not exact:
        read_array(path)  # raises an error where the checksum differs
        expected["sha256"] = note["sha256"]
    difference = difference or mapping_difference(note_path(path), note, expected)
    return _result(_name(path, at), f"{path.stat().st_size:,} bytes", difference)


def _compare_cost(at: SampleFolder, again: Redrawn) -> Compared:
    """Compare the entries of cost.json that are no times."""
    cost, expected = (read_json(row.cost) for row in (at, again.at))
    names = (KEY, "evaluations", "computed_in") if again.exact else (KEY,)
    cost, expected = ({name: side.get(name) for name in names} for side in (cost, expected))
    difference = mapping_difference(at.cost, cost, expected)
    return _result(_name(at.cost, at), f"{len(names)} values", difference)


def _compare_features(at: SampleFolder, again: Redrawn, name: str) -> Compared:
    """Compare the features of one extractor."""
    path, difference = at.features(name), None
    if not path.exists():
        raise GenLabError(f"{path}: no such file; run the workflow again")
    if again.exact:
        difference = archive_difference(path, again.at.features(name))
    origin = features_origin(at.run.study, at.run.dataset, name, at.samples)
    shape = () if difference else read_features(path, origin)["features"].shape
    return _result(_name(path, at), f"{' x '.join(map(str, shape))} features", difference)


def _compare_metrics(at: SampleFolder, again: Redrawn) -> Compared:
    """Compare the metrics of the row."""
    row, path = at.folder.name, at.run.metrics
    values, expected = (read_json(run.metrics).get(row, {}) for run in (at.run, again.at.run))
    if again.exact:
        amount = f"{sum(map(_count_numbers, values.values()))} metrics"
        difference = mapping_difference(path, values, expected, row)
        return _result(_name(path, at), amount, difference)
    checks = list(_interval_checks(path, values, expected))
    difference = next((check for check in checks if check is not None), None)
    return _result(_name(path, at), f"{len(checks)} intervals", difference)


def _count_numbers(values: object) -> int:
    """How many of the values of a row in one space are numbers."""
    numbers = values.values() if isinstance(values, dict) else ()
    return sum(isinstance(value, int | float) for value in numbers)


def _interval_checks(
    path: Path, values: dict[str, Values], expected: dict[str, Values]
) -> Iterator[Difference | None]:
    """For each published interval: whether the value that was computed again lies in it."""
    for space, measured in values.items():
        if space == KEY:
            continue
        for name, low in measured.items():
            metric = name.removesuffix("_low")
            high, value = measured.get(f"{metric}_high"), expected[space].get(metric)
            if metric == name or not isinstance(low, float) or not isinstance(high, float):
                continue
            inside = isinstance(value, int | float) and low <= value <= high
            place = f"interval of {space}.{metric}"
            yield None if inside else Difference(path, place, f"[{low}, {high}]", str(value))


def compare_published(at: SampleFolder) -> Iterator[Compared]:
    """Compare the row in every published table with the files of its run.

    Raises:
        GenLabError: names the first difference.
    """
    study, row = at.run.study, at.folder.name
    settings = read_study(study.config)
    rows = [
        {column: cells[column] for column in COLUMNS}
        for cells in rows_of_run(at.run, settings)
        if cells["sampler"] == row
    ]
    for path, read in ((study.league, read_csv_rows), (study.league_parquet, read_parquet_rows)):
        yield _result(path.name, _cells(rows), table_difference(path, read(path), rows))
    table = measurements(pd.DataFrame(rows)).to_dict("records")
    lines = [{str(name): value for name, value in line.items()} for line in table]
    for path, read in (
        (study.measurements, read_csv_rows),
        (study.measurements_parquet, read_parquet_rows),
    ):
        difference = table_difference(path, read(path), lines, MEASUREMENT_KEYS)
        yield _result(path.name, f"{len(lines)} lines", difference)
    page = [page_row(cells) for cells in rows]
    difference = table_difference(study.report, read_page_rows(study.report), page)
    yield _result(_name(study.report, at), _cells(page), difference)
    if at.run.model_name != CALIBRATION:
        yield _compare_stored(at, row_numbers(rows, settings.evaluation.extractors))


def _cells(rows: list[dict[str, Any]]) -> str:
    return f"{sum(map(len, rows))} cells"


def _compare_stored(at: SampleFolder, expected: Numbers) -> Compared:
    """Compare the metrics that MLflow has of the row."""
    stored = stored_metrics(at)
    if stored is None:
        return Compared("MLflow", "nothing was sent yet")
    store = f"{without_password(store_uri(at.run.study.results))}, {_name(at.folder, at)}"
    for name, value in expected.items():
        if stored.get(name) != value:
            difference = Difference(store, name, str(stored.get(name)), str(value))
            return _result("MLflow", "", difference)
    return Compared("MLflow", f"{len(expected)} metrics")
