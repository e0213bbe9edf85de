"""The smoke study, run once for all tests that look at its results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from filelock import FileLock
from project import CORES, LONG, Project


@pytest.fixture
def bare(tmp_path: Path) -> Project:
    """The project before anything ran."""
    return Project.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> tuple[Project, str]:
    """A project in which the smoke study ran, and what Snakemake said.

    Of several processes that share the tests the first to ask makes it, for all of them. The files
    that its stages read are noted under traces/ (`trace/sitecustomize.py`).
    """
    at = tmp_path_factory.getbasetemp()
    folder = (at if worker_id == "master" else at.parent) / "smoke"
    folder.mkdir(exist_ok=True)
    project, said = Project(folder / "project"), folder / "said.txt"
    with FileLock(folder / "lock"):
        if not said.exists():
            Project.copy(project.root)
            traced = Project(project.root, traces=folder / "traces")
            said.write_text(traced.snakemake("--cores", CORES), encoding="utf-8")
    return project, said.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def smoke(first_run: tuple[Project, str]) -> Project:
    """The project in which the smoke study ran. To be looked at, not to be changed."""
    return first_run[0]


@pytest.fixture
def again(smoke: Project, tmp_path: Path) -> Project:
    """A copy of the finished smoke study, to be changed."""
    return Project.copy(tmp_path / "project", smoke.root, results=True)


@pytest.fixture(scope="session")
def _believed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The smoke study, of which Snakemake believes that it ran: its files are there, but empty."""
    project = Project.copy(tmp_path_factory.mktemp("believed") / "project")
    for outputs in re.findall(r"^    output: (.+)$", project.snakemake(LONG, "-n"), re.M):
        for path in (project.root / name for name in outputs.split(", ")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if path.name in ("figures", "at") else path.touch()
    project.snakemake("--touch", "--forceall", "--cores", CORES)
    assert project.plan() == set()
    return project


@pytest.fixture
def planned(_believed: Project, tmp_path: Path) -> Project:
    """A copy of the project in which Snakemake believes that the smoke study ran, to be changed."""
    return Project.copy(tmp_path / "project", _believed.root, results=True)
