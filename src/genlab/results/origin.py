"""Origins: digests of the specs and data that a file was made from.

    origin    made from                                                recorded in
    data      the configuration in results/data/DATASET/config.yaml    the manifest's `made_from`
    run       its spec and the manifest's hash of the data             weights, measurements
    row       its spec and the origin of its run (or data)             samples, their classes, cost
    features  the checksum of the images and the extractor's origin    EXTRACTOR.npz
    metrics   the origin of their row and the study's `evaluation:`    each row of metrics.json

The origin of features is computed in `genlab.workflow.feature_files`.

Every stage computes the origin that its input should have from the current specs, and refuses an
input with another origin, because it belongs to another version of the study.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genlab.config.base import Strict, short_hash
from genlab.config.evaluators import CALIBRATION
from genlab.errors import GenLabError
from genlab.io.files import read_json, write_json
from genlab.results.layout import DataFolder, RunFolder, SampleFolder
from genlab.results.spec import read_dataset, read_evaluation, read_run, read_samples

KEY = "made_from"
OF_ROW = "row"
"""In metrics.json beside the extractors: what was measured once for a row, in no extractor."""


def _digest(read: Callable[[Path], Strict], path: Path) -> str:
    """Return the digest of the configuration at `path`, read once per process and version."""
    try:
        stat = path.stat()
    except OSError:
        return read(path).digest  # raises an error that names the problem
    return _digest_of_version(read, path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=1024)
def _digest_of_version(read: Callable[[Path], Strict], path: Path, modified: int, size: int) -> str:
    return read(path).digest


def data_origin(data: DataFolder) -> str:
    """Return the hash of a prepared data set.

    Raises:
        GenLabError: it was prepared from another configuration than the current one.
    """
    manifest = read_json(data.manifest)
    check_origin(data.manifest, manifest.get(KEY), _digest(read_dataset, data.config))
    return str(manifest["sha256"])


def run_origin(run: RunFolder) -> str:
    """Return the origin of a trained model: its spec, that of its first stage, and its data."""
    return short_hash(_digest(read_run, run.config), data_origin(run.data))


def row_origin(row: SampleFolder) -> str:
    """Return the origin of samples: their spec, and the model or data that they come from."""
    run = row.run
    source = data_origin(run.data) if run.model_name == CALIBRATION else run_origin(run)
    return short_hash(_digest(read_samples, row.config), source)


def metrics_origin(row: SampleFolder) -> str:
    """Return the origin of a row's metrics: its samples and the study's `evaluation:`."""
    return short_hash(row_origin(row), _digest(read_evaluation, row.run.study.evaluation))


def check_origin(path: Path, origin: str | None, expected: str) -> None:
    """Refuse a file with another origin than the expected one.

    Args:
        origin: the origin recorded in the file.
        expected: the origin computed from the current specs and data.

    Raises:
        GenLabError: they differ.
    """
    if origin != expected:
        raise GenLabError(
            f"{path}: made from another version of the study or of its data (digest {origin}) than "
            f"the current one ({expected}); run the workflow again, which replaces it"
        )


def write_measured(path: Path, content: dict[str, Any], origin: str) -> None:
    """Write measurements and their origin, atomically."""
    write_json(path, {KEY: origin, **content})


def read_measured(path: Path, origin: str) -> dict[str, Any]:
    """Read measurements that `write_measured` wrote.

    Raises:
        GenLabError: the file is missing, not valid JSON, or has another origin.
    """
    content: dict[str, Any] = read_json(path)
    if not isinstance(content, dict):
        raise GenLabError(f"{path}: expected a JSON object; delete it and run again")
    check_origin(path, content.pop(KEY, None), origin)
    return content


def read_metrics(run: RunFolder) -> dict[str, dict[str, Any]]:
    """Read the metrics of a run, by row and extractor; under OF_ROW those of a row as a whole.

    Raises:
        GenLabError: the metrics of a row have another origin than the current specs and data.
    """
    content: dict[str, dict[str, Any]] = read_json(run.metrics)
    for row, by_extractor in content.items():
        if not isinstance(by_extractor, dict):
            raise GenLabError(f"{run.metrics}: {row}: not a row; delete the file and run again")
        origin = by_extractor.pop(KEY, None)
        check_origin(run.metrics, origin, metrics_origin(run.samples(row)))
    return content
