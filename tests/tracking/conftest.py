"""A tiny study beside an MLflow store: the real one, on SQLite or behind a server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from runs import Study, begin
from servers import free_port, tracking_server

from genlab.results.layout import RunFolder, StudyFolder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without a run in it; to make one takes MLflow seconds, so it is made once."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def study(tiny_study: Study, empty_store: Path) -> Study:
    """`study(**changes)` makes the tiny study beside an empty store."""

    def make(**changes: Any) -> StudyFolder:
        at = tiny_study(**changes)
        shutil.copy(empty_store, at.results / "mlflow.db")
        return at

    return make


@pytest.fixture
def run(study: Study) -> RunFolder:
    """A run that has begun, and that no service knows of."""
    run = study().run("stripes", "vae", 0)
    begin(run)
    return run


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    """The address of a tracking server."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder / "server.db")
    with tracking_server(folder, f"sqlite:///{folder}/server.db", free_port()) as address:
        yield address


@pytest.fixture
def at_server(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the tracking server, which the environment names."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return server
