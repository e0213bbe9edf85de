"""`genlab ui` opens MLflow's interface at the runs; looked at with a real browser."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from browser import blank_page, needs_chromium
from runs import Study, begin, draw, local, rows_in, runs_in
from servers import free_port

from genlab.results.layout import RunFolder
from genlab.tracking.mirror import mirror
from genlab.tracking.record import leave_record


@pytest.fixture
def project(study: Study, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of a project in whose folder commands are called, without a display."""
    run = study().run("stripes", "vae", 0)
    begin(run)
    draw(run, "prior")
    monkeypatch.chdir(run.study.results.parent)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return run


@pytest.fixture
def port() -> int:
    """A port that nobody has."""
    return free_port()


@pytest.fixture
def ui(project: RunFolder, port: int) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """`ui()` is `genlab ui` in a session of its own, which ends with the test."""
    begun: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "genlab", "ui", "--port", str(port)]
        begun.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        )
        return begun[-1]

    yield start
    for process in begun:
        for member in members(process.pid):
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        process.communicate()


def members(session: int) -> list[int]:
    """The processes of a session that still run."""
    command = ["ps", "-o", "pid=,stat=", "-s", str(session)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    pairs = [line.split() for line in done.stdout.splitlines()]
    return [int(pid) for pid, state in pairs if not state.startswith("Z")]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_where_the_runs_are_and_ends_with_all_its_processes(
    project: RunFolder,
    port: int,
    ui: Callable[[], subprocess.Popen[str]],
    signum: signal.Signals,
) -> None:
    """SIGINT goes to all of them, as a terminal's Ctrl-C does."""
    mirror(project, "FINISHED")
    process = ui()
    assert process.stdout is not None
    address = f"http://127.0.0.1:{port}/#/experiments/1/runs?workflowType=machine_learning"
    assert process.stdout.readline() == f"all runs: {address}\n"
    assert len(members(process.pid)) > 1
    send = os.killpg if signum == signal.SIGINT else os.kill
    send(process.pid, signum)
    assert process.wait(timeout=60) == 0
    assert members(process.pid) == []


@needs_chromium
def test_the_page_shows_the_runs_and_their_pictures(
    project: RunFolder, port: int, ui: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    """After the project was moved as well: nothing was sent since."""
    mirror(project, "FINISHED")
    run_id = rows_in(local(project))["prior"].info.run_id
    picture = project.samples("prior").grid.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(project.study.results, elsewhere)
    os.chdir(elsewhere)
    process = ui()
    assert process.stdout is not None
    address = process.stdout.readline().removeprefix("all runs: ").strip()
    with blank_page() as page:
        page.set_viewport_size({"width": 1400, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.get_by_role("link", name="stripes/vae/seed0").first.wait_for()
        page.screenshot(path=tmp_path / "runs.png")
    place = f"path=samples/prior/grid.png&run_uuid={run_id}"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/get-artifact?{place}") as answer:
        assert answer.read() == picture


DOTS = """new Set(
    [...document.querySelectorAll(".scatterlayer .point")]
        .map(dot => dot.getBoundingClientRect())
        .filter(box => box.bottom < window.innerHeight)
        .map(box => `${box.x} ${box.y}`)
).size"""
"""Number of places with a dot that can be seen without scrolling, in JavaScript"""


@needs_chromium
def test_four_runs_are_compared_by_quality_and_cost_without_a_click(
    study: Study,
    port: int,
    ui: Callable[[], subprocess.Popen[str]],
    project: RunFolder,
    tmp_path: Path,
) -> None:
    """The second address: FDr over milliseconds, over seconds of training, and bars come first."""
    at = study(seeds=[0, 1, 2, 3])
    for seed in range(4):
        run = at.run("stripes", "vae", seed)
        begin(run)
        numbers = {"best/fdr": 2.0 + seed, "best/ms_per_image": 0.5, "train_seconds": 7.0}
        leave_record(run, "league", metrics=numbers, prefix="", tags={"best_sampler": "prior"})
        run.weights.parent.mkdir(exist_ok=True)
        run.weights.touch()
        assert mirror(run, "FINISHED") == {}
    process = ui()
    assert process.stdout is not None
    process.stdout.readline()
    address = process.stdout.readline().removeprefix("in charts: ").strip()
    with blank_page() as page:
        page.set_viewport_size({"width": 1400, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_function(f"{DOTS} == {2 * 4}")  # a place for each run, in each of two charts
        page.screenshot(path=tmp_path / "charts.png")


def test_without_a_store_it_says_what_to_do(project: RunFolder, genlab: Any) -> None:
    ended = genlab("ui")
    assert ended.status == 1
    assert ended.err == f"error: {project.study.results}/mlflow.db: no runs yet; run `make` first\n"


def test_a_store_that_was_deleted_as_well(project: RunFolder, genlab: Any) -> None:
    mirror(project, "FINISHED")
    (project.study.results / "mlflow.db").unlink()
    ended = genlab("ui")
    assert ended.err == f"error: {project.study.results}/mlflow.db: no runs yet; run `make` first\n"
    assert not (project.study.results / "mlflow.db").exists()


def test_a_port_that_is_taken_is_named(project: RunFolder, genlab: Any) -> None:
    mirror(project, "FINISHED")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = genlab("ui", "--port", port)
    assert ended.status == 1
    assert f"port {port} can't be used (Address already in use)" in ended.err
    assert f'make ui ARGS="--port {port + 1}"' in ended.err


def test_a_server_has_the_page_already(project: RunFolder, at_server: str, genlab: Any) -> None:
    tracking = project.study.tracking
    tracking.write_text(tracking.read_text().replace("experiment: null", "experiment: page"))
    mirror(project, "FINISHED")
    (sent,) = runs_in(at_server, "page")
    ended = genlab("ui")
    assert ended.status == 0
    page = f"#/experiments/{sent.info.experiment_id}/runs?workflowType=machine_learning"
    charts = "compareRunsMode=CHART&viewStateShareKey=quality-against-cost"
    assert ended.out.splitlines()[-2:] == [
        f"all runs: {at_server}/{page}",
        f"in charts: {at_server}/{page}&{charts}",
    ]
