"""MLflow's tracking store: its address, a connection to it, and its identity.

The store is MLFLOW_TRACKING_URI, or SQLite under results/. A SQLite store keeps its artifacts in
the folder `mlflow-artifacts` beside its file, so that both are moved and deleted together. The
Snakefile imports this module; MLflow itself is imported only to connect.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from filelock import FileLock

from genlab.errors import GenLabError
from genlab.io.files import read_json, write_json
from genlab.results.layout import SampleFolder, StudyFolder

# By default, MLflow waits minutes for a server that does not answer, and training would wait too.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

SQLITE = "sqlite:///"


def store_uri(results: Path) -> str:
    """Return the address of the tracking store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{results.resolve()}/mlflow.db"


def without_password(uri: str) -> str:
    """Return `uri` without its password, to be shown or written to a file."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for any other store."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def artifact_folder(uri: str) -> Path | None:
    """Return the artifact folder for new experiments; None leaves the choice to the store."""
    file = sqlite_file(uri)
    return file.resolve().parent / "mlflow-artifacts" if file else None


@contextmanager
def connect(results: Path) -> Iterator[Any]:
    """Open an MlflowClient of the store.

    Processes that create the same SQLite store at once crash inside MLflow and can leave it broken,
    so only one at a time is inside the block.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from mlflow import MlflowClient

    uri = store_uri(results)
    file, artifacts = sqlite_file(uri), artifact_folder(uri)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock") if file else nullcontext():
        client = MlflowClient(tracking_uri=uri)
        if file and artifacts:
            client.search_experiments(max_results=1)  # creates the store if necessary
            _move_artifacts(file, artifacts)
        yield client


def _move_artifacts(file: Path, folder: Path) -> None:
    """Correct the addresses of artifacts in a SQLite store that was moved or copied with them.

    MLflow stores absolute addresses for experiments and for their runs, and has no function to
    change them.

    Args:
        folder: where the artifacts are now.
    """
    new = folder.as_uri()
    query = "SELECT experiment_id, artifact_location FROM experiments"
    with closing(sqlite3.connect(file, timeout=20)) as database, database:
        for experiment, old in database.execute(query).fetchall():
            before = Path(unquote(urlsplit(old).path))
            if old == new or before.name != folder.name:
                continue
            if before.exists() and not folder.exists():
                continue  # only the file was moved
            database.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                (new, experiment),
            )
            database.execute(
                "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?)"
                " WHERE experiment_id = ? AND substr(artifact_uri, 1, ?) = ?",
                (new, len(old) + 1, experiment, len(old), old),
            )


def _identity(results: Path, experiment: str) -> str:
    """Return a text that identifies the store: another address or a new SQLite file changes it.

    Its time is that of the experiment's creation or restoration; runs don't change it.
    """
    uri = store_uri(results)
    file = sqlite_file(uri)
    if file is None:
        return without_password(uri)
    active = "name = ? AND lifecycle_stage = 'active'"
    query = f"SELECT last_update_time FROM experiments WHERE {active}"
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
            ((time,),) = database.execute(query, (experiment,)).fetchall()
    except (sqlite3.Error, ValueError):  # no file, no table, no such experiment
        return f"no {experiment}"
    return f"{experiment} of {time}"


def store_number(study: StudyFolder, experiment: str) -> int:
    """Count the stores that the study was sent to, including this one and ones that were lost.

    It is a parameter of the rule `publish`, which sends everything again when the number changes.
    """
    last: dict[str, Any] = {"number": 0, "store": ""}
    if study.sent.exists():
        last = read_json(study.sent)
    changed = last["store"] != _identity(study.results, experiment)
    return int(last["number"]) + int(changed)


def note_store(study: StudyFolder, experiment: str) -> None:
    """Record that the study was sent to this store."""
    content = {
        "number": store_number(study, experiment),
        "store": _identity(study.results, experiment),
    }
    write_json(study.sent, content)


def find_child(client: Any, experiment: str, parent: str, row: str) -> Any | None:
    """Find the run of a row below the run `parent`; None if there is none."""
    query = f"tags.mlflow.parentRunId = '{parent}' AND tags.sampler = '{row}'"
    return next(iter(client.search_runs([experiment], query, max_results=1)), None)


def stored_metrics(at: SampleFolder) -> dict[str, float] | None:
    """Read the last value of each metric that MLflow has of a row; None if it received nothing.

    Raises:
        GenLabError: the store does not have the row any more, or does not answer.
    """
    run = at.run
    note, uri = run.outbox / "sent_mlflow.json", store_uri(run.study.results)
    file = sqlite_file(uri)
    if not note.exists() or (file and not file.exists()):
        return None
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    try:
        info = client.get_run(read_json(note)["current"]).info
        stored = find_child(client, info.experiment_id, info.run_id, at.folder.name)
    except (MlflowException, KeyError) as error:
        raise GenLabError(f"{without_password(uri)}: no record of {run.folder} ({error})") from None
    if stored is None:
        raise GenLabError(f"{without_password(uri)}: no record of {at.folder}")
    return dict(stored.data.metrics)
