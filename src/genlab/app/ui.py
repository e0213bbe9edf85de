"""MLflow's user interface, opened at the runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from pathlib import Path
from types import FrameType

from genlab.errors import GenLabError
from genlab.results.layout import RunFolder
from genlab.results.spec import read_tracking
from genlab.tracking.mlflow_store import connect, sqlite_file, store_uri, without_password
from genlab.tracking.mlflow_view import KEY, save_view

HOST = "127.0.0.1"


def _newest_experiment(results: Path) -> str:
    """The MLflow id of the experiment that a run was sent to last; its view is saved there.

    Raises:
        GenLabError: the store or the experiment doesn't exist.
    """
    uri = store_uri(results)
    notes = list(results.glob("*/*/*/seed*/tracking/sent_mlflow.json"))
    file = sqlite_file(uri)
    if notes and (file is None or file.exists()):
        newest = max(notes, key=lambda note: note.stat().st_mtime)
        study = RunFolder(newest.parent.parent).study
        name = read_tracking(study.tracking).experiment_of(study.folder.name)
        with connect(results) as client:
            experiment = client.get_experiment_by_name(name)
            if experiment is not None and experiment.lifecycle_stage == "active":
                save_view(client, experiment)
                return str(experiment.experiment_id)
    raise GenLabError(f"{file or without_password(uri)}: no runs yet; run `make` first")


def _check_free(port: int) -> None:
    """Refuse a port that another program has.

    Raises:
        GenLabError: the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise GenLabError(
                f"port {port} can't be used ({error.strerror}), perhaps by another `make ui`; "
                f'choose one: make ui ARGS="--port {port + 1}"'
            ) from None


def _answers(port: int) -> bool:
    """Whether a server listens at the port."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _show(server: str, experiment: str) -> None:
    """Print the addresses of the experiment's runs, and open the first where there is a display.

    The first shows the table, the second charts, with quality against cost at the top.
    """
    address = f"{server}/#/experiments/{experiment}/runs?workflowType=machine_learning"
    charts = f"{address}&compareRunsMode=CHART&viewStateShareKey={KEY}"
    print(f"all runs: {address}\nin charts: {charts}", flush=True)
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def ui(results: Path, port: int) -> None:
    """Show the runs of the newest study in MLflow's interface, until Ctrl-C.

    A tracking server has the interface already; for any other store one is started.

    Raises:
        GenLabError: there are no runs, the port is taken, or the server ended by itself.
    """
    uri = store_uri(results)
    experiment = _newest_experiment(results)
    if uri.startswith(("http://", "https://")):
        _show(without_password(uri).rstrip("/"), experiment)
        return
    _check_free(port)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port)]
    command += ["--backend-store-uri", uri, "--uvicorn-opts", "--log-level warning"]
    command += ["--workers", "1"]  # one reader; MLflow would start four
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    server = subprocess.Popen(command, env=os.environ | quiet, stdout=subprocess.DEVNULL)
    try:
        while server.poll() is None and not _answers(port):
            time.sleep(0.1)
        if server.poll() is None:
            _show(f"http://{HOST}:{port}", experiment)
        if status := server.wait():
            raise GenLabError(f"MLflow's interface ended with status {status}")
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.wait()
