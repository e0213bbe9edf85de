"""Many trainings at once beside MLflow on PostgreSQL, with a server that is away for a while."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Study, begin, history, log, runs_in
from servers import free_port, tracking_server

from genlab.results.layout import RunFolder
from genlab.tracking.mirror import mirror

TRAININGS, STEPS, PART = 16, 300, 30
OUTAGE = 5.0
"""Seconds without a server"""


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, as Debian installs them."""
    tools = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return tools[-1].parent if tools and shutil.which("runuser") and not os.geteuid() else None


@pytest.fixture
def database(tmp_path: Path) -> Iterator[str]:
    """The address of a PostgreSQL of its own, on this machine."""
    folder, port = tmp_path / "postgres", free_port()
    folder.mkdir(mode=0o700)
    shutil.chown(folder, "postgres", "postgres")
    for parent in folder.parents:  # PostgreSQL's user must reach it
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    as_user = ("runuser", "-u", "postgres", "--")
    tools = programs()
    assert tools is not None
    initdb = (*as_user, str(tools / "initdb"), "-D", str(folder), "-U", "genlab", "-A", "trust")
    subprocess.run(initdb, check=True, capture_output=True)
    options = ("-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(folder))
    process = subprocess.Popen(
        [*as_user, str(tools / "postgres"), "-D", str(folder), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ready = (str(tools / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q")
    end = time.monotonic() + 60
    while subprocess.run(ready, check=False).returncode:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)
    yield f"postgresql://genlab@127.0.0.1:{port}/postgres"
    process.terminate()
    process.wait()


def train(run: RunFolder) -> None:
    """Write to the run's folder and the server what a training writes."""
    begin(run)
    for first in range(4, STEPS, PART):
        log(run, first, min(first + PART - 1, STEPS))
        mirror(run, "RUNNING")
        time.sleep(0.3)
    mirror(run, "RUNNING")


@pytest.mark.skipif(programs() is None, reason="needs root and PostgreSQL (Debian: postgresql)")
def test_sixteen_trainings_lose_nothing_while_the_server_is_away(
    study: Study, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is in the store once, those of the time without a server as well."""
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    at = study(seeds=list(range(TRAININGS)))
    runs = [at.run("stripes", "vae", seed) for seed in range(TRAININGS)]
    fork = multiprocessing.get_context("fork")  # MLflow is imported once for all
    trainings = [fork.Process(target=train, args=(run,)) for run in runs]
    with tracking_server(tmp_path, database, port):
        for training in trainings:
            training.start()
        time.sleep(2)
    assert any(training.is_alive() for training in trainings), "the server went away too late"
    time.sleep(OUTAGE)
    with tracking_server(tmp_path, database, port) as address:
        for training in trainings:
            training.join()
            assert training.exitcode == 0
        for run in runs:
            assert mirror(run, "FINISHED") == {}
        found = runs_in(address)
        assert len(found) == TRAININGS
        for one in found:
            losses = history(address, one.info.run_id, "train/loss")
            assert losses == [(step, pytest.approx(1 / step)) for step in range(1, STEPS + 1)]
            assert one.info.status == "FINISHED"
