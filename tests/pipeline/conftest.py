"""The smoke study, run once for all tests that look at its results."""

from __future__ import annotations

from pathlib import Path

import pytest
from project import CORES, Project

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests, one of them takes all that look at this study."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("pipeline"))


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """The project before anything ran."""
    return Project.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which the smoke study ran, and what Snakemake said."""
    project = Project.copy(tmp_path_factory.mktemp("smoke") / "project")
    return project, project.snakemake("--cores", CORES)


@pytest.fixture(scope="session")
def smoke(first_run: tuple[Project, str]) -> Project:
    """The project in which the smoke study ran. To be looked at, not to be changed."""
    return first_run[0]


@pytest.fixture
def again(smoke: Project, tmp_path: Path) -> Project:
    """A copy of the finished smoke study, to be changed."""
    return Project.copy(tmp_path / "project", smoke.root, results=True)
