"""What a file was made from: digests of specs and data, which every stage compares.

    data      the configuration in results/data/DATASET/config.yaml    -> the manifest's `made_from`
    run       its spec, and the manifest's hash of the data            -> weights, measurements
    row       its spec, and the origin of its run (or data)            -> samples, features, metrics

A stage computes the digest that its input should have from the specs that are there now, and
refuses an input that has another one: it belongs to another version of the study.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genlab.config.base import Strict, short_hash
from genlab.errors import GenLabError
from genlab.config.evaluators import FLOOR
from genlab.results.layout import DataFolder, RunFolder, SampleFolder
from genlab.results.spec import read_dataset, read_evaluation, read_run, read_samples
from genlab.io.files import read_json, write_json

KEY = "made_from"


def _digest(read: Callable[[Path], Strict], path: Path) -> str:
    """The digest of the configuration at `path`; a version of a file is read once in a process."""
    try:
        stat = path.stat()
    except OSError:
        return read(path).digest  # which says what is wrong
    return _digest_of_version(read, path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=1024)
def _digest_of_version(read: Callable[[Path], Strict], path: Path, modified: int, size: int) -> str:
    return read(path).digest


def data_origin(data: DataFolder) -> str:
    """The hash of a prepared data set.

    Raises:
        GenLabError: it was prepared by another configuration than the one beside it.
    """
    manifest = read_json(data.manifest)
    check_origin(data.manifest, manifest.get(KEY), _digest(read_dataset, data.config))
    return str(manifest["sha256"])


def run_origin(run: RunFolder) -> str:
    """What a trained model depends on: its spec, that of its first stage, and its data."""
    return short_hash(_digest(read_run, run.config), data_origin(run.data))


def row_origin(row: SampleFolder) -> str:
    """What samples depend on: their spec, and the model or the data that they are drawn from."""
    run = row.run
    source = data_origin(run.data) if run.model_name == FLOOR else run_origin(run)
    return short_hash(_digest(read_samples, row.config), source)


def metrics_origin(row: SampleFolder) -> str:
    """What the metrics of a row depend on: its samples, and the study's `evaluation:`."""
    return short_hash(row_origin(row), _digest(read_evaluation, row.run.study.evaluation))


def check_origin(path: Path, origin: str | None, expected: str) -> None:
    """Refuse a file that was made from anything else than what its stage reads now.

    Raises:
        GenLabError: `origin`, which the file names, is not the `expected` one.
    """
    if origin != expected:
        raise GenLabError(
            f"{path}: made from another version of the study or of its data (digest {origin}) than "
            f"the specs and the data that are there now ({expected}); run the workflow again, "
            f"which makes it anew, or delete it first"
        )


def write_measured(path: Path, content: dict[str, Any], origin: str) -> None:
    """Write what was measured on something of this origin, all or nothing."""
    write_json(path, {KEY: origin, **content})


def read_measured(path: Path, origin: str) -> dict[str, Any]:
    """What `write_measured` wrote.

    Raises:
        GenLabError: it is missing, no JSON, or was measured on something of another origin.
    """
    content: dict[str, Any] = read_json(path)
    if not isinstance(content, dict):
        raise GenLabError(f"{path}: not a mapping; delete it and run again")
    check_origin(path, content.pop(KEY, None), origin)
    return content


def read_metrics(run: RunFolder) -> dict[str, dict[str, Any]]:
    """What the stage `evaluate` measured on each row of a run, by row and extractor.

    Raises:
        GenLabError: a row was measured on other samples, or in another way, than the specs say.
    """
    content: dict[str, dict[str, Any]] = read_json(run.metrics)
    for row, by_extractor in content.items():
        origin = by_extractor.pop(KEY, None)
        check_origin(run.metrics, origin, metrics_origin(run.samples(row)))
    return content
