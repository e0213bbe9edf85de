"""A tiny study beside an MLflow store, the real one on SQLite."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from runs import Study, begin

from genlab.config.layout import RunFolder, StudyFolder


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
